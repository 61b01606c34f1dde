//! Product, board and layer files as typed models, and the plan that they make together.
//!
//! Pure: reads definitions (files, and those compiled in) and computes; starts no process
//! and writes nothing.

pub mod board;
pub mod decode;
mod formats;
pub mod layer;
pub mod library;
pub mod parameter;
pub mod plan;
pub mod product;
pub mod render;
pub mod source;
pub mod types;
pub mod yaml;
