//! Two runs, or two campaigns, side by side.

mod campaigns;
mod rows;
mod runs;
