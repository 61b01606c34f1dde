//! `selfcheck`: what the booted device says about itself.
//!
//! Static inspection cannot decide it: [`crate::findings_of_boot`] makes its findings from the boot's
//! record, and [`crate::inspect`] leaves it out.

use super::{Kind, NoParameters};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Selfcheck;

impl Kind for Selfcheck {
    const NAME: &'static str = "selfcheck";
    const DESCRIPTION: &'static str = "at boot the device's event of that id is `pass`";
    type With = NoParameters;

    fn run(_with: NoParameters, _context: &Context) -> Result<Conclusion, Unable> {
        Err(Unable::broken("the image was not booted in this run"))
    }
}
