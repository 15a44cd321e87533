//! The store, attacked: what it acknowledged must be there, or a verdict must say why not.

mod basics;
mod common;
mod crash;
mod damage;
