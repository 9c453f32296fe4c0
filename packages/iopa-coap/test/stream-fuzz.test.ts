import { seededRandom, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { decode, isMalformed } from '../src/codec/datagram-codec.ts'
import { encodeFrame } from '../src/codec/stream-codec.ts'
import { abort, ping, pong, release, Signalling } from '../src/streams/signalling.ts'
import { startEtsi } from './etsi-app.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { below, mutate, type Random, validDatagram, wantedRequest } from './mutation.ts'

const runs = Number(process.env['IOPA_FUZZ'] ?? 1000)
const hello = new Signalling({ maxMessageSize: 1024 * 1024, blockWise: true }).hello()

const frame = (random: Random): Uint8Array => {
  if (random() < 0.1)
    return [ping(Uint8Array.of(1)), ping(Uint8Array.of(2), true), pong(Uint8Array.of(3)), release(), abort('x'), hello][below(random, 6)]!
  const message = decode(random() < 0.7 ? wantedRequest(random) : validDatagram(random))
  return isMalformed(message) ? Uint8Array.of(0, 0) : encodeFrame(message)
}

describe('a server on connections against anything', () => {
  test(`takes ${runs} mutated frames without throwing, without a context that stays, and gives the memory back`, {
    timeout: 60_000 + runs
  }, async () => {
    const faults: unknown[] = []
    const onFault = (fault: unknown): void => {
      faults.push(fault)
    }
    process.on('unhandledRejection', onFault)
    process.on('uncaughtException', onFault)
    const clock = virtualClock()
    const network = virtualNetwork({ clock, splitting: 40, coalescing: 0.3 })
    const server = await startEtsi({ clock, network, udp: false, tcp: true, separateAfter: 50 })
    const random = seededRandom(8323)
    const connection = async (): Promise<void> => {
      const channel = await clock.runUntil(network.connect({ host: '127.0.0.1', port: server.port }))
      channel.open({ data: () => {}, end: () => channel.end(), drain: () => {}, close: () => {} })
      if (random() < 0.95) channel.write(hello)
      let other = frame(random)
      for (let i = 0; i < 20; i++) {
        const next = frame(random)
        // A connection survives few mutants, so most of what goes over it is sound.
        channel.write(random() < 0.15 ? mutate(next, other, random) : next)
        other = next
      }
      const end = random()
      if (end < 0.3) channel.end()
      else if (end < 0.6) channel.destroy()
    }
    const attack = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 20) {
        await connection()
        if (i % 400 === 0) server.setObserved(`obs ${i}`)
      }
      // Past the time for which a silent connection is kept; those with observers go when the network breaks.
      await clock.advance(600_000)
      network.disconnect()
      await clock.advance(5000)
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
    expect([...server.calls.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(runs / 10)
    await clock.runUntil(server.close())
    expect(clock.pending).toBe(0)
  })
})
