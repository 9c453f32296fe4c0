/** One line a request, an observation and a connection, on every protocol. */

export {}
