//! The functions that `_FORTIFY_SOURCE` replaces, as glibc 2.41 exports them (`__NAME_chk`).

/// Unchecked names, sorted. `fdelt` is no function: it stands for `FD_SET` and its like, whose checking form is `__fdelt_chk`.
pub(super) const FORTIFIABLE: &[&str] = &[
    "asprintf",
    "confstr",
    "dprintf",
    "explicit_bzero",
    "fdelt",
    "fgets",
    "fgets_unlocked",
    "fgetws",
    "fgetws_unlocked",
    "fprintf",
    "fread",
    "fread_unlocked",
    "fwprintf",
    "getcwd",
    "getdomainname",
    "getgroups",
    "gethostname",
    "getlogin_r",
    "gets",
    "getwd",
    "longjmp",
    "mbsnrtowcs",
    "mbsrtowcs",
    "mbstowcs",
    "memcpy",
    "memmove",
    "mempcpy",
    "memset",
    "obstack_printf",
    "obstack_vprintf",
    "poll",
    "ppoll",
    "pread",
    "pread64",
    "printf",
    "ptsname_r",
    "read",
    "readlink",
    "readlinkat",
    "realpath",
    "recv",
    "recvfrom",
    "snprintf",
    "sprintf",
    "stpcpy",
    "stpncpy",
    "strcat",
    "strcpy",
    "strlcat",
    "strlcpy",
    "strncat",
    "strncpy",
    "swprintf",
    "syslog",
    "ttyname_r",
    "vasprintf",
    "vdprintf",
    "vfprintf",
    "vfwprintf",
    "vprintf",
    "vsnprintf",
    "vsprintf",
    "vswprintf",
    "vsyslog",
    "vwprintf",
    "wcpcpy",
    "wcpncpy",
    "wcrtomb",
    "wcscat",
    "wcscpy",
    "wcslcat",
    "wcslcpy",
    "wcsncat",
    "wcsncpy",
    "wcsnrtombs",
    "wcsrtombs",
    "wcstombs",
    "wctomb",
    "wmemcpy",
    "wmemmove",
    "wmempcpy",
    "wmemset",
    "wprintf",
];

/// The longest `__NAME_chk` and its NUL.
pub(super) const LONGEST: usize = 32;

fn position(name: &[u8]) -> Option<&'static str> {
    let name = std::str::from_utf8(name).ok()?;
    FORTIFIABLE.binary_search(&name).ok().map(|at| FORTIFIABLE[at])
}

/// The plain name when `name` is the checking form of a fortifiable function.
pub(super) fn checked(name: &[u8]) -> Option<&'static str> {
    position(name.strip_prefix(b"__")?.strip_suffix(b"_chk")?)
}

/// The name when it is the unchecked form.
pub(super) fn unchecked(name: &[u8]) -> Option<&'static str> {
    // glibc exports the C99 scanf family under a prefix, but fortifies none of it.
    position(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_short_enough() {
        assert!(FORTIFIABLE.is_sorted());
        assert!(FORTIFIABLE.iter().all(|name| name.len() + "__".len() + "_chk".len() < LONGEST));
        assert_eq!(checked(b"__memcpy_chk"), Some("memcpy"));
        assert_eq!(checked(b"__stack_chk"), None);
        assert_eq!(unchecked(b"memcpy"), Some("memcpy"));
    }

    /// A program whose only checked call it is was compiled with `_FORTIFY_SOURCE` all the same.
    #[test]
    fn a_checked_fd_set_counts() {
        assert_eq!(checked(b"__fdelt_chk"), Some("fdelt"));
    }
}
