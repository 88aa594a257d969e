"""The promises of reliability, proved by killing real processes. A package, so that its stack ends with its last test."""
