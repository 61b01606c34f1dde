//! Product, board and layer files as typed models, and the plan that they make together.
//!
//! Pure: reads definitions (files, and those compiled in) and computes; starts no process
//! and writes nothing.

pub mod plan;
