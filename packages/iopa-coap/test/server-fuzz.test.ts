import { seededRandom, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, it } from 'vitest'
import { startEtsi } from './etsi-app.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { below, mutate, validDatagram } from './mutation.ts'

const runs = Number(process.env['IOPA_FUZZ'] ?? 20_000)

describe('a server against anything', () => {
  it(`takes ${runs} mutated datagrams without throwing, without a context that stays, and gives the memory back`, {
    timeout: 60_000 + runs
  }, async () => {
    const faults: unknown[] = []
    const onFault = (fault: unknown): void => {
      faults.push(fault)
    }
    process.on('unhandledRejection', onFault)
    process.on('uncaughtException', onFault)
    const clock = virtualClock()
    const network = virtualNetwork({ clock, traceLength: 10 })
    const server = await startEtsi({ clock, channel: network, separateAfter: 200 })
    const random = seededRandom(8323)
    const to = { address: '127.0.0.1', port: server.port }
    const attack = async (count: number): Promise<void> => {
      let other = validDatagram(random)
      for (let i = 0; i < count; i++) {
        const datagram = validDatagram(random)
        network.inject(mutate(datagram, other, random), { address: '127.0.0.1', port: below(random, 500) * 131 }, to)
        other = datagram
        if (i % 100 === 99) await clock.advance(10)
      }
      // Past every lifetime: observers that do not acknowledge, bodies that do not go on, ids that may come again.
      await clock.advance(600_000)
    }
    await attack(Math.min(runs, 10_000))
    collectGarbage()
    const before = heapUsed()
    await attack(runs)
    collectGarbage()
    const grown = heapUsed() - before
    process.off('unhandledRejection', onFault)
    process.off('uncaughtException', onFault)
    expect(faults).toEqual([])
    expect(server.app.live).toBe(0)
    expect(grown).toBeLessThan(8 * 1024 * 1024)
    // It still serves.
    const calls = server.calls.size
    expect(calls).toBeGreaterThan(3)
    await clock.runUntil(server.close())
    expect(clock.pending).toBe(0)
  })
})
