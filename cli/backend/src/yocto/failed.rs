//! Tasks that failed, as BitBake names them, and which lines and which log are whose: several may fail at once, and go on
//! to their ends beside each other.

/// One task.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The recipe for a person: `zlib 1.3.1`.
    pub recipe: String,
    /// Such as `do_compile`.
    pub task: &'a str,
    /// `PN`.
    name: String,
    /// How `PF` begins.
    start: String,
}

impl<'a> Failed<'a> {
    /// `ERROR: Task (/…/zlib_1.3.1.bb:do_compile) failed with exit code '1'`. Source: BitBake `lib/bb/runqueue.py`,
    /// `runQueueTaskFailed`.
    pub fn read(line: &'a str) -> Option<Self> {
        let (task, _) = line.strip_prefix("ERROR: Task (")?.split_once(") failed with")?;
        let (recipe, task) = named(task)?;
        let whole = line.strip_prefix("ERROR: Task (")?;
        let of_file = recipe.split(' ').next().unwrap_or_default();
        // Source: BitBake `lib/bb/cache.py`, `realfn2virtual`; OE-Core `native.bbclass`, `nativesdk.bbclass`, `multilib.bbclass`.
        let multilib = whole.split_once("virtual:multilib:").and_then(|(_, rest)| rest.split(':').next());
        let name = if whole.contains("virtual:native:") && !of_file.ends_with("-native") {
            format!("{of_file}-native")
        } else if whole.contains("virtual:nativesdk:") && !of_file.starts_with("nativesdk-") {
            format!("nativesdk-{of_file}")
        } else if let Some(prefix) = multilib {
            format!("{prefix}-{of_file}")
        } else {
            of_file.to_owned()
        };
        let version = recipe.strip_prefix(of_file).unwrap_or_default().replace(' ', "-");
        let start = format!("{name}{version}-");
        Some(Self { recipe, task, name, start })
    }

    /// Whether a message is of this task: `ERROR: zlib-1.3.1-r0 do_compile: …`.
    pub fn said(&self, line: &str) -> bool {
        let mut words = line.strip_prefix("ERROR: ").unwrap_or(line).split(' ');
        let recipe = words.next().is_some_and(|word| word.starts_with(&self.start));
        recipe && words.next().and_then(|word| word.strip_suffix(':')) == Some(self.task)
    }

    /// Its log: `…/PN/PV/temp/log.do_compile.123`. Where none is there that is its own by name, the only one that there
    /// is, if no other task failed.
    pub fn log<'l>(&self, logs: &[&'l str], alone: bool) -> Option<&'l str> {
        let of_task = |path: &&&str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.strip_prefix("log.")
                .and_then(|name| name.strip_prefix(self.task))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut own = logs.iter().filter(of_task);
        let found = own.clone().find(|path| path.split('/').any(|part| part == self.name));
        found.or_else(|| own.next().or(logs.first()).filter(|_| alone)).copied()
    }
}

/// `/…/zlib_1.3.1.bb:do_compile` → `zlib 1.3.1`, `do_compile`.
pub fn named(task: &str) -> Option<(String, &str)> {
    let (path, task) = task.rsplit_once(':')?;
    let name = path.rsplit('/').next()?.strip_suffix(".bb")?;
    Some((name.replace('_', " "), task))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(of: &str) -> String {
        format!("ERROR: Task ({of}) failed with exit code '1'")
    }

    #[test]
    fn each_task_has_its_own_log_whatever_the_order() {
        let lines = [
            task("/srv/gcc_13.2.bb:do_compile"),
            task("virtual:native:/srv/gcc_13.2.bb:do_compile"),
            task("/srv/gcc-runtime_13.2.bb:do_compile"),
            task("mc:arm:/srv/image.bb:do_rootfs"),
            task("virtual:multilib:lib32:/srv/zlib_1.bb:do_install"),
        ];
        let logs = [
            "/w/gcc-runtime/13.2/temp/log.do_compile.4",
            "/w/image/1.0/temp/log.do_rootfs.9",
            "/w/gcc-native/13.2/temp/log.do_compile.2",
            "/w/gcc/13.2/temp/log.do_compile_setscene.1",
            "/w/gcc/13.2/temp/log.do_compile.1",
            "/w/lib32-zlib/1/temp/log.do_install.1",
        ];
        for (line, log) in lines.iter().zip([4, 2, 0, 1, 5]) {
            assert_eq!(Failed::read(line).unwrap().log(&logs, false), Some(logs[log]), "{line}");
        }
        // Nothing rather than another's; what stands alone has no other.
        let lone = Failed::read(&lines[0]).unwrap();
        assert_eq!(lone.log(&logs[..2], false), None);
        assert_eq!(lone.log(&["/x/log.do_compile.7"], true), Some("/x/log.do_compile.7"));
        assert_eq!(lone.log(&[], true), None);
    }

    #[test]
    fn a_message_is_of_the_task_that_it_names() {
        let line = task("/srv/gcc_13.2.bb:do_compile");
        let gcc = Failed::read(&line).unwrap();
        assert!(gcc.said("ERROR: gcc-13.2-r0 do_compile: oe_runmake failed"));
        assert!(!gcc.said("ERROR: gcc-runtime-13.2-r0 do_compile: oe_runmake failed"));
        assert!(!gcc.said("ERROR: gcc-13.2-r0 do_compile_extra: x") && !gcc.said("ERROR: "));
        assert_eq!(Failed::read("ERROR: Task (x failed"), None);
    }
}
