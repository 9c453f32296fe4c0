/** Security header fields and protection from cross-site requests, for HTTP. */

export {}
