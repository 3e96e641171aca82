//! Long ranges of blocks, read as many short ones, sized to what the provider allows. None is skipped, and none is believed
//! without the header of its end from the node that answered it.

mod burst;
mod collect;
mod one;
mod reader;
mod size;

pub use self::collect::{Collected, Collector, SeenBlock, UnknownLog, count_unknown};
pub(super) use self::one::read;
pub use self::reader::{IN_FLIGHT, Piece, RangeReader};
