import { seededRandom, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { startEtsi } from './etsi-app.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { below, mutate, validDatagram, wantedRequest } from './mutation.ts'

const runs = Number(process.env['IOPA_FUZZ'] ?? 1000)

describe('a server against anything', () => {
  test(`takes ${runs} mutated datagrams without throwing, without a context that stays, and gives the memory back`, {
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
    const server = await startEtsi({ clock, network, separateAfter: 200 })
    const random = seededRandom(8323)
    const to = { address: '127.0.0.1', port: server.port }
    const attack = async (count: number): Promise<void> => {
      let other = validDatagram(random)
      for (let i = 0; i < count; i++) {
        const datagram = random() < 0.5 ? wantedRequest(random) : validDatagram(random)
        const from = { address: '127.0.0.1', port: below(random, 500) * 131 }
        // Two of three are mutants; the sound ones between them build up what mutants then meet.
        network.inject(random() < 0.67 ? mutate(datagram, other, random) : datagram, from, to)
        other = datagram
        const answered = network.trace.at(-2)
        if (random() < 0.1 && answered?.from.port === server.port && answered.bytes.length >= 4) {
          const type = random() < 0.5 ? 0x60 : 0x70
          network.inject(Uint8Array.of(type, 0, answered.bytes[2]!, answered.bytes[3]!), answered.to, to)
        }
        if (i % 500 === 499) server.setObserved(`obs ${i}`)
        if (i % 100 === 99) await clock.advance(10)
      }
      // Observers live until a notification fails, and of non-confirmable ones few are confirmable: so everything changes, often enough.
      for (let i = 0; i < 400 && server.app.live > 0; i++) {
        for (const { pattern } of server.app.routes()) if (!pattern.includes(':')) server.app.notify(pattern)
        await clock.advance(i < 20 ? 5000 : 120_000)
      }
      // Past every lifetime: what waits for an acknowledgement, bodies that do not go on, ids that may come again.
      await clock.advance(600_000)
    }
    await attack(Math.min(runs, 2000))
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
    // Enough of it was sound for the handlers to run, and more than one of them.
    const calls = [...server.calls.values()].reduce((sum, count) => sum + count, 0)
    expect(calls).toBeGreaterThan(runs / 10)
    expect(server.calls.size).toBeGreaterThan(10)
    await clock.runUntil(server.close())
    expect(clock.pending).toBe(0)
  })
})
