//! The whole command line by verb: standard output, standard error, exit code.

mod definitions;
mod fit;
mod help;
mod image;
mod interface;
mod keys;
mod product;
mod setup;
mod support;
