/** Cross-origin requests: preflights and answers, for HTTP. */

export {}
