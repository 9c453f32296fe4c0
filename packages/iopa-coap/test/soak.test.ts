import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { transmission } from '../src/messages/parameters.ts'
import { startEtsi } from './etsi-app.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { rawRequest } from './raw-peer.ts'

// IOPA_SOAK multiplies how long it goes on; each round is one EXCHANGE_LIFETIME.
const rounds = 6 * Number(process.env['IOPA_SOAK'] ?? 1)
const PEERS = 400
const REQUESTS = 2000

describe('over a long time', () => {
  test(`holds no more memory after ${rounds} exchange lifetimes than after two`, { timeout: 120_000 * (rounds / 6) }, async () => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock, traceLength: 10 })
    const server = await startEtsi({ clock, network })
    const to = { address: '127.0.0.1', port: server.port }
    const { exchangeLifetime } = transmission()
    let id = 0
    const round = async (number: number): Promise<void> => {
      for (let i = 0; i < REQUESTS; i++) {
        id = (id + 1) & 0xffff
        // New ports each round: peers come and go.
        const from = { address: '127.0.0.1', port: 1024 + ((number * PEERS + (i % PEERS)) % 60_000) }
        network.inject(rawRequest(i % 3 ? CODE.GET : CODE.PUT, { id, path: '/test', payload: i % 3 ? '' : 'x' }), from, to)
        if (i % 50 === 49) await clock.advance((exchangeLifetime * 50) / REQUESTS)
      }
    }
    const heights: number[] = []
    for (let i = 0; i < rounds; i++) {
      await round(i)
      collectGarbage()
      heights.push(heapUsed())
    }
    const [, , settled] = heights
    expect(heights.at(-1)! - settled!).toBeLessThan(2 * 1024 * 1024)
    expect(server.calls.get('GET /test')! + server.calls.get('PUT /test')!).toBe(rounds * REQUESTS)
    expect(server.app.live).toBe(0)
    // One coarse timer, not one for each message.
    expect(clock.pending).toBeLessThan(10)
    await clock.runUntil(server.close())
    expect(clock.pending).toBe(0)
  })
})
