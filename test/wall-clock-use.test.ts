import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('../', import.meta.url).pathname

/** Where the wall clock is read, and why: a date that is shown, or that is stored across restarts. Everything else is `clock.elapsed()`. */
const DATES: Readonly<Record<string, string>> = {
  'packages/appbuilder/src/app/app-environment.ts': 'server.Timestamp',
  'packages/transport/src/validators/http-dates.ts': 'dates of header fields',
  'packages/transport/src/contract/clock.ts': 'the clock itself',
  'packages/transport/src/users/account.ts': 'the date until which a user is valid',
  'packages/iopa-http/src/message/answer-head.ts': 'the field Date',
  'packages/iopa-mqtt/src/broker/operation/journal.ts': 'dates in the store',
  'packages/iopa-mqtt/src/broker/restore.ts': 'dates in the store',
  'packages/iopa-mqtt/src/broker/broker.ts': 'when a client came and went',
  'packages/iopa-mqtt/src/broker/session/session.ts': 'since when a session is connected or away',
  'packages/iopa-mqtt/src/broker/session/sessions.ts': 'since when a session is connected or away',
  'packages/iopa-mqtt/src/broker/admin/views.ts': 'dates for operators',
  'packages/store/src/collection-handlers.ts': 'ids in the order of time',
  'packages/store/src/document-changes.ts': 'when a document was changed',
  'packages/store/src/history/history-pruning.ts': 'the age of stored states',
  'packages/store/src/twin/presence.ts': 'when a device was seen',
  'packages/store/src/twin/twins.ts': 'when a twin was set aside',
  'packages/store/src/idempotency/kept-answers.ts': 'how long an answer is kept',
  'packages/store/src/representation.ts': 'what computed members are made of',
  'packages/store/src/store-lifecycle.ts': 'when a document was set aside',
  'packages/static/src/memory.ts': 'Last-Modified, and a name for this start',
  'packages/static/src/representation.ts': 'Last-Modified',
  'packages/static/src/lookup.ts': 'compared with the dates of files',
  'packages/transport/src/client/opening.ts': 'server.Timestamp of a client without an app',
  'packages/cookies/src/sessions.ts': 'how long a session is kept',
  'packages/log/src/floods.ts': 'the time of a line',
  'packages/log/src/log.ts': 'the time of a line',
  'packages/dtls/src/key-exchange/ecdhe-ecdsa.ts': 'the dates of certificates',
  'packages/dtls/src/sessions/session-store.ts': 'the end of a certificate',
  'packages/oscore/src/protection.ts': 'the age of a store',
  'packages/oscore/src/store/number-blocks.ts': 'numbers in the order of time, so that none of an old copy is used again',
  'packages/testing/src/contract/served-app.ts': 'a limit of a test',
  'packages/testing/src/virtual/datagrams.ts': 'the time of a datagram in the trace'
}

// The environment of a context has a `now` of its own, which gives server.Timestamp.
const WALL = /\bDate\.now\b|\bnew Date\(\)|\b#?clock\.now\b/

test('sources read the wall clock only for dates that are shown or stored', () => {
  const sources = readdirSync(`${root}packages`).flatMap(name =>
    readdirSync(`${root}packages/${name}/src`, { recursive: true, encoding: 'utf8' }).map(path => `packages/${name}/src/${path}`)
  )
  const readers = sources
    .filter(path => path.endsWith('.ts'))
    .filter(path =>
      readFileSync(root + path, 'utf8')
        .split('\n')
        .some(line => WALL.test(line.replace(/\/\/.*|^\s*\*.*|\/\*\*.*?\*\//, '')))
    )
  expect(readers.sort()).toEqual(Object.keys(DATES).sort())
})
