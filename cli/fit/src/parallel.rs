//! The same work on several large contents at once. Small ones are not worth a thread, and nobody gets more threads than there
//! are processors, however many images a hostile FIT claims.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Contents below this are hashed sooner than a thread starts.
const WORTH_A_THREAD: usize = 1 << 20;
/// More do not help: the memory's bandwidth is shared.
const MOST: usize = 8;

/// Does `work` to every item, in any order; `bytes` tells how much there is to do for one.
pub(crate) fn for_each<T: Send>(items: &mut [T], bytes: impl Fn(&T) -> usize, work: impl Fn(&mut T) + Sync) {
    let large = items.iter().filter(|item| bytes(item) >= WORTH_A_THREAD).count();
    let processors = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    if large < 2 || processors < 2 {
        items.iter_mut().for_each(work);
        return;
    }
    let next = Mutex::new(items.iter_mut());
    let work_on = || {
        loop {
            // A thread that panicked has given its item back to nobody; the scope passes the panic on.
            let item = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = item else { return };
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..large.min(processors) {
            scope.spawn(work_on);
        }
        work_on();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_whatever_its_size() {
        for sizes in [
            vec![],
            vec![1],
            vec![WORTH_A_THREAD; 2],
            vec![0; 5000],
            vec![WORTH_A_THREAD, 3, WORTH_A_THREAD, 0, 9],
        ] {
            let mut items: Vec<(usize, usize)> = sizes.iter().map(|size| (*size, 0)).collect();
            for_each(&mut items, |item| item.0, |item| item.1 += 1);
            assert!(items.iter().all(|item| item.1 == 1), "{sizes:?}");
        }
    }
}
