//! Nothing: the tests of this package check the files for schedulers beside it.
