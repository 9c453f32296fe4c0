import { coap } from '@iopa/coap'
import { transportContract } from '@iopa/testing'
import { describe, test } from 'vitest'
import { toy } from './toy-protection.ts'

const statuses = [200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422, 429, 500, 501, 503, 504]

/** What the message layer refuses before anything is opened is an error for the client, and no answer. */
const BELOW = 'answers 503 beyond the requests that may be in work'
/** The context of the association lasts longer than its first request. */
const COUNTS = 'ends an observation with its signal, on both sides'

describe('the transport contract over UDP with protection', () => {
  for (const { name, run } of transportContract({
    transport: options => coap({ port: 0, protect: toy({ users: { 1: 'ann' }, client: 1, require: true }), ...options }),
    url: ({ url }) => url.href,
    features: { headers: false, anyMethod: false, connection: false, cancel: false, problems: false, guarded: false, statuses }
  }))
    test.skipIf(name === BELOW).concurrent(name, { timeout: 20_000 }, run)
})

describe('the transport contract over TCP with protection', () => {
  for (const { name, run } of transportContract({
    transport: options => coap({ port: 0, udp: false, tcp: true, protect: toy({ users: { 1: 'ann' }, client: 1, require: true }), ...options }),
    url: ({ url }) => url.href,
    features: { headers: false, anyMethod: false, cancel: false, problems: false, guarded: false, statuses }
  }))
    test.skipIf(name === COUNTS).concurrent(name, { timeout: 20_000 }, run)
})
