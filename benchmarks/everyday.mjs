// What the contenders of the suite `app` have in common: the everyday middleware, and who may ask.
import { Writable } from 'node:stream'

export const TOKEN = 'b7c1d6f0a4e94f3c8f0f7a5e2d9c1b3a'
export const ORIGIN = 'https://app.example'
/** Far above what the load reaches: the budgets are counted, and never spent. */
export const LIMIT = { max: 1_000_000_000, window: 60_000 }

/** Takes the lines of the logs. */
export const nothing = () => new Writable({ write: (_, __, done) => done() })

/** What the load sends. */
export const request = (more = {}) => ({ ...more, headers: { authorization: `Bearer ${TOKEN}`, origin: ORIGIN, ...more.headers } })
