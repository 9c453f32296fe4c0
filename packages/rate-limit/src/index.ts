/** One budget of requests per user over all protocols. */

export {}
