//! The results of many runs and campaigns, to be looked at: in a browser (`harness serve`) or as files (`harness publish`).
//!
//! | module | what it owns |
//! |-|-|
//! | `beneath` | files below one folder, and no others |
//! | `catalogue` | what a folder of results holds, as its files say |
//! | `address` | which pages there are, and how they are linked |
//! | `pages` | the pages, as HTML |
//! | `publish` | the pages and the files of the runs, as files |
//! | `server` | the pages and the files of the runs, over HTTP |
//!
//! Invariant: nothing in the folder of results is written or run; whatever is in it, each folder is listed with what its files
//! say or with the reason why that is not known.

pub mod address;
pub mod beneath;
pub mod catalogue;
pub mod pages;
pub mod publish;
pub mod server;
