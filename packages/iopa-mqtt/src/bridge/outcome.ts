/**
 * What a worker does with a message once the app has answered it. A broker never offers a message elsewhere because of a negative
 * acknowledgement ([MQTT-4.8.2-6] makes it discard the message), so the worker acknowledges positively and keeps what failed itself.
 *
 * - `acknowledge`: done, or not for this app (404, 405).
 * - `dead-letter`: it will fail the same way again; it goes to the dead-letter topic, then it is acknowledged.
 * - `retry`: it may succeed later; tried again with growing waits, a limited number of times, then `dead-letter`.
 * - `hold`: the app has no room (429, 503); tried again with growing waits for as long as the connection lives, so that the broker's own
 *   queue fills instead of the dead-letter topic.
 */
export type Outcome = 'acknowledge' | 'dead-letter' | 'retry' | 'hold'

/** The outcome of a neutral status, 100 to 599. */
export const outcomeOf = (status: number): Outcome => {
  if (status < 400 || status === 404 || status === 405 || status === 410) return 'acknowledge'
  if (status === 429 || status === 503) return 'hold'
  if (status === 408 || status === 425 || status >= 500) return status === 501 || status === 505 ? 'dead-letter' : 'retry'
  return 'dead-letter'
}
