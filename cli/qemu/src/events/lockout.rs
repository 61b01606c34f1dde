//! Too many failed logins from one place: from there nobody is let in for a while, not even with the right key, and then again.
//!
//! Whoever offers a key that is refused has failed; who offers none has only asked, which costs a place much less.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use diag::Outcome;
use exec::{Call, tool};
use record::{LOCKED_OUT, TrafficVerdict};

use super::kinds::LOCKOUT;
use super::{Login, MINUTE, Proof};

/// How many try at once: as many as sshd takes from one place (`PerSourceMaxStartups`).
const AT_ONCE: usize = 5;
/// How often they do at most: on a slow device one time may not be enough, since sshd forgets between the logins.
const ROUNDS: usize = 3;
/// How long somebody may stay locked out: `max` of `PerSourcePenalties`, and time to connect.
const LONGEST: Duration = Duration::from_secs(720);
/// Between two tries afterwards; a refused connection adds nothing.
const PAUSE: Duration = Duration::from_secs(10);

/// One login with `ssh`; whether it opened. `more` are options, such as a key.
pub(super) fn ssh(port: u16, user: &str, more: &[String]) -> Outcome<bool> {
    let call = Call::new(tool("ssh")?)
        .args(["-F", "none", "-p", &port.to_string(), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(more)
        .args([&format!("{user}@127.0.0.1"), "true"])
        .limit(MINUTE * 2);
    // Why it did not open is what the records say.
    let opened = call.run().is_ok();
    exec::check_interrupt()?;
    Ok(opened)
}

/// A key that is nobody's, as options of `ssh`.
fn wrong_key(folder: &Path) -> Outcome<[String; 2]> {
    let file = folder.join("wrong").to_string_lossy().into_owned();
    Call::new(tool("ssh-keygen")?)
        .args(["-q", "-t", "ed25519", "-N", "", "-f", &file])
        .limit(MINUTE)
        .run()?;
    Ok(["-i".to_owned(), file])
}

impl Proof<'_> {
    /// Needs the key of a person: that strangers are not let in shows no lock.
    pub(super) fn lockout(&mut self, login: Option<&Login>, account: (&str, u32)) -> Outcome<()> {
        let right = format!("{LOCKED_OUT}: the right key is refused, too, and taken again afterwards");
        let Some(login) = login else {
            let why = "needs a key of a user of the product: `--login USER=FILE`".to_owned();
            for name in LOCKOUT.iter().map(|kind| kind.name).chain([right.as_str()]) {
                self.class(name, TrafficVerdict::NotShown, Vec::new(), vec![why.clone()]);
            }
            return Ok(());
        };
        let (port, key) = (self.ports.ssh, ["-i".to_owned(), login.key.to_string_lossy().into_owned()]);
        // Beside the copy of the disk, which goes when the proof has ended.
        let wrong = wrong_key(self.spec.disk.parent().unwrap_or(&self.spec.logs))?;
        let before = ssh(port, &login.user, &key)?;
        for kind in LOCKOUT {
            self.windows.requested(kind.name, self.run_so_far().1);
        }
        let (mut opened_by_wrong, mut failures, mut during) = (0, 0, true);
        let mut from = Instant::now();
        while during && failures < AT_ONCE * ROUNDS {
            // Until the firewall lets as many in at once again: failures that come one by one are forgiven in between.
            thread::sleep(MINUTE);
            exec::check_interrupt()?;
            let opened: Vec<_> = thread::scope(|scope| {
                let tries: Vec<_> =
                    (0..AT_ONCE).map(|_| scope.spawn(|| ssh(port, &login.user, &wrong))).collect();
                tries.into_iter().map(|one| one.join().unwrap_or(Ok(false))).collect()
            });
            for one in opened {
                opened_by_wrong += usize::from(one?);
            }
            failures += AT_ONCE;
            // At once: the lock is short, and the firewall lets only some connections through in a minute.
            from = Instant::now();
            during = ssh(port, &login.user, &key)?;
        }
        let mut after = during;
        while !after && from.elapsed() < LONGEST {
            thread::sleep(PAUSE);
            after = ssh(port, &login.user, &key)?;
        }
        let waited = from.elapsed().as_secs();
        self.settle()?;
        self.judge_all(LOCKOUT, account);
        let (seen, problems) = locked(&Tried { opened_by_wrong, failures, before, during, after, waited });
        self.verdict(&right, seen, problems);
        Ok(())
    }
}

/// Which logins opened.
struct Tried {
    /// How many of those with a wrong key.
    opened_by_wrong: usize,
    /// How many tried with a wrong key.
    failures: usize,
    /// With the key, before anybody failed.
    before: bool,
    /// With the key, right after the failures.
    during: bool,
    /// With the key, in the end.
    after: bool,
    /// Seconds until then.
    waited: u64,
}

/// What that shows, and what is wrong with it.
fn locked(tried: &Tried) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    if tried.opened_by_wrong > 0 {
        problems.push(format!("{} logins with a wrong key opened", tried.opened_by_wrong));
    }
    if !tried.before {
        problems.push("the key did not open a login before anybody failed".to_owned());
    }
    if tried.during {
        problems.push(format!(
            "after {} failed logins the place they came from was not locked out",
            tried.failures
        ));
    }
    if !tried.after {
        problems.push(format!("after {} s the right key was still refused", tried.waited));
    }
    let refused = if tried.during { "opened a login" } else { "was refused" };
    let seen = format!(
        "after {} failed logins the right key {refused}, and {} s later it {} a login",
        tried.failures,
        tried.waited,
        if tried.after { "opened" } else { "had not opened" }
    );
    (vec![seen], problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_one_that_ssh_can_offer() {
        if let Err(why) = exec::find(&tool("ssh-keygen").unwrap()) {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{why}");
            #[allow(clippy::print_stderr, reason = "a test that does nothing must say so")]
            {
                eprintln!("SKIPPED: there is no ssh-keygen");
            }
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [option, file] = wrong_key(folder.path()).unwrap();
        assert_eq!(option, "-i");
        let key = std::fs::read_to_string(&file).unwrap();
        assert!(key.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"), "{key}");
        assert!(std::fs::read_to_string(file + ".pub").unwrap().starts_with("ssh-ed25519 "));
    }

    #[test]
    fn a_lock_is_one_that_keeps_the_right_key_out_for_a_while() {
        let right = || Tried {
            opened_by_wrong: 0,
            failures: 15,
            before: true,
            during: false,
            after: true,
            waited: 40,
        };
        assert!(locked(&right()).1.is_empty());
        type Change = fn(&mut Tried);
        let changes: [(Change, &str); 4] = [
            (|tried| tried.opened_by_wrong = 2, "2 logins with a wrong key opened"),
            (|tried| tried.before = false, "did not open a login before"),
            (
                |tried| tried.during = true,
                "after 15 failed logins the place they came from was not locked out",
            ),
            (|tried| tried.after = false, "after 40 s the right key was still refused"),
        ];
        for (change, expected) in changes {
            let mut tried = right();
            change(&mut tried);
            let problems = locked(&tried).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }
}
