//! Super-servers: programs that wait on the network for others. Source: inetd.conf(5), xinetd.conf(5).

use super::script::{Script, Walk};
use crate::Unable;

pub(super) fn look(walk: &mut Walk<'_>) -> Result<(), Unable> {
    let text = walk.root.read_text("/etc/inetd.conf")?.unwrap_or_default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // service, socket, protocol, wait, user, program, its own name and arguments.
        if let [_, _, _, _, _, program, own @ ..] = words.as_slice()
            && *program != "internal"
        {
            started(walk, "/etc/inetd.conf", program, own);
        }
    }
    xinetd(walk)
}

/// A program that is given a connection; `own` is its name and its arguments.
fn started(walk: &mut Walk<'_>, at: &str, program: &str, own: &[&str]) {
    let name = program.rsplit('/').next().unwrap_or_default();
    let words: Vec<&str> = match own {
        // BusyBox takes the applet from its own name, or from the first argument where that is BusyBox.
        [own, rest @ ..] if name.starts_with("busybox") => {
            if own.rsplit('/').next().unwrap_or_default().starts_with("busybox") {
                rest.to_vec()
            } else {
                [&[*own], rest].concat()
            }
        }
        // The wrapper of TCP: its own name is the program behind it.
        [own, rest @ ..] if name == "tcpd" => [&[*own], rest].concat(),
        [_, rest @ ..] => [&[program], rest].concat(),
        [] => vec![program],
    };
    let mut script = Script::new(walk, at);
    script.network = true;
    script.push(words.into_iter().map(str::to_owned).collect());
}

fn xinetd(walk: &mut Walk<'_>) -> Result<(), Unable> {
    let more = walk.root.list("/etc/xinetd.d").into_iter().map(|name| format!("/etc/xinetd.d/{name}"));
    for path in std::iter::once("/etc/xinetd.conf".to_owned()).chain(more) {
        let Some(text) = walk.root.read_text(&path)? else { continue };
        let (mut server, mut arguments, mut disabled) = (None, Vec::new(), false);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once('=') {
                let value = value.trim();
                match name.trim().trim_end_matches(['+', '-']).trim() {
                    "server" => server = Some(value),
                    "server_args" => arguments = value.split_whitespace().collect(),
                    "disable" => disabled = value == "yes",
                    _ => {}
                }
            } else if line.starts_with('}') {
                if let Some(program) = server.take().filter(|_| !disabled) {
                    let own: Vec<&str> = std::iter::once(program).chain(arguments.drain(..)).collect();
                    started(walk, &path, program, &own);
                }
                (arguments, disabled) = (Vec::new(), false);
            }
        }
    }
    Ok(())
}
