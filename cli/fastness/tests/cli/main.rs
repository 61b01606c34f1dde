//! The whole command line by verb: standard output, standard error, exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]

mod analyze;
mod analyze_hostile;
mod bad_input;
mod broken_builds;
mod buildroot;
mod buildroot_builds;
mod certificates;
mod core_image_minimal;
mod definitions;
mod delivery;
mod documents;
mod elsewhere;
mod elsewhere_builds;
mod events;
mod evidence;
mod evidence_hostile;
mod facts;
mod fit;
mod fit_by_hand;
mod fit_large;
mod fit_more;
mod fit_options;
mod help;
mod identities;
mod image;
mod interface;
mod keys;
mod login;
mod monitor;
mod nothing_written_over;
mod pki;
mod product;
mod provision;
mod real_board;
mod setup;
mod stolen_issuing;
mod support;
mod threats;
mod tokens;
mod tpm_keys;
mod update;
mod vendor;
mod world;
mod yocto;
