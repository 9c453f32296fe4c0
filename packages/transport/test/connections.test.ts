import { virtualClock } from '@iopa/testing'
import { type ByteChannel, Connections, DEFAULT_LIMITS, Outbox } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

interface Fake extends ByteChannel {
  readonly written: Uint8Array[]
  full: boolean
  destroyed: boolean
}

const channel = (remoteAddress = '192.0.2.1'): Fake => ({
  remoteAddress,
  remotePort: 1,
  localAddress: '192.0.2.2',
  localPort: 2,
  tls: false,
  raw: null,
  buffered: 0,
  written: [],
  full: false,
  destroyed: false,
  open: () => undefined,
  write(bytes) {
    this.written.push(bytes as Uint8Array)
    return !this.full
  },
  pause: () => undefined,
  resume: () => undefined,
  end: () => undefined,
  destroy() {
    this.destroyed = true
  }
})
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)

describe('Outbox', () => {
  test('joins writes of one turn into one write', async () => {
    const target = channel()
    const outbox = new Outbox(target, { queueBytes: 100 })
    outbox.write(bytes(1))
    outbox.write(bytes(2, 3))
    expect(target.written).toEqual([])
    await null
    expect(target.written).toEqual([bytes(1, 2, 3)])
  })

  test('joins writes while it is corked, and writes at the last uncork', async () => {
    const target = channel()
    const outbox = new Outbox(target, { queueBytes: 100 })
    outbox.cork()
    outbox.cork()
    outbox.write(bytes(1))
    outbox.uncork()
    outbox.write(bytes(2))
    await null
    expect(target.written).toEqual([])
    outbox.uncork()
    expect(target.written).toEqual([bytes(1, 2)])
  })

  test('never writes into memory that a channel may still use', () => {
    const target = channel()
    const outbox = new Outbox(target, { queueBytes: 100 })
    for (const first of [1, 3]) {
      outbox.write(bytes(first))
      outbox.write(bytes(first + 1))
      outbox.flush()
    }
    expect(target.written).toEqual([bytes(1, 2), bytes(3, 4)])
  })

  test('bounds waiting output for a peer that does not read, and reports when it reads again', async () => {
    const target = channel()
    const outbox = new Outbox(target, { queueBytes: 3 })
    target.full = true
    outbox.write(bytes(1, 2, 3, 4))
    outbox.flush()
    expect(outbox.writable).toBe(false)
    expect([outbox.write(bytes(5, 6)), outbox.write(bytes(7, 8)), outbox.write(bytes(9))]).toEqual([true, false, true])
    let drained = false
    void outbox.drained().then(() => (drained = true))
    await null
    expect(drained).toBe(false)
    target.full = false
    outbox.onDrain()
    await null
    expect([drained, outbox.writable]).toEqual([true, true])
  })

  test('drops all output and wakes waiting writers when the connection is lost', async () => {
    const target = channel()
    const outbox = new Outbox(target, { queueBytes: 3 })
    target.full = true
    outbox.write(bytes(1))
    outbox.flush()
    const waiting = outbox.drained()
    outbox.onClose()
    await waiting
    expect([outbox.write(bytes(1)), outbox.pendingBytes]).toEqual([false, 0])
  })
})

describe('Connections', () => {
  const limits = { ...DEFAULT_LIMITS, connections: 3, connectionsPerAddress: 2, idleTimeout: 1000 }

  test('counts all connections and those per address, except loopback', () => {
    const connections = new Connections(virtualClock(), limits, () => undefined)
    const first = connections.admit(channel())
    expect([first, connections.admit(channel()), connections.admit(channel())].map(Boolean)).toEqual([true, true, false])
    first?.remove()
    first?.remove()
    expect(connections.admit(channel())).not.toBeNull()
    const local = new Connections(virtualClock(), limits, () => undefined)
    expect([1, 2, 3, 4].map(() => Boolean(local.admit(channel('127.0.0.1'))))).toEqual([true, true, true, false])
  })

  test('never reports idle too early, whenever the last byte arrived between two sweeps', async () => {
    const clock = virtualClock()
    const idle: number[] = []
    const connections = new Connections(clock, limits, connection => {
      idle.push(clock.now())
      connection.remove()
    })
    const began = clock.now()
    const connection = connections.admit(channel())
    // Sweeps come every 250 ms.
    await clock.advance(1249)
    connection?.touch()
    await clock.advance(3000)
    const [at = 0] = idle
    expect(idle).toHaveLength(1)
    expect(at - began).toBeGreaterThanOrEqual(1249 + limits.idleTimeout)
    expect(at - began).toBeLessThanOrEqual(1249 + limits.idleTimeout + 500)
  })

  test('reports idle connections, except active, busy and kept ones', async () => {
    const clock = virtualClock()
    const idle: ByteChannel[] = []
    const connections = new Connections(clock, limits, connection => {
      idle.push(connection.channel)
      connection.remove()
    })
    const [quiet, busy, kept] = [channel('a'), channel('b'), channel('c')]
    connections.admit(quiet)
    connections.admit(busy)?.busy(1)
    connections.admit(kept)?.keepAlive(true)
    await clock.advance(5000)
    expect([idle, connections.size]).toEqual([[quiet], 2])
  })

  test('leaves no timer after the last connection', () => {
    const clock = virtualClock()
    const connections = new Connections(clock, limits, () => undefined)
    connections.admit(channel())?.remove()
    expect(clock.pending).toBe(0)
  })

  test('drain() ends idle connections at once, busy ones when they finish, and the rest by force', async () => {
    const clock = virtualClock()
    const connections = new Connections(clock, limits, () => undefined)
    const [quiet, busy, stuck] = [channel('a'), channel('b'), channel('c')]
    const quietOne = connections.admit(quiet)
    const busyOne = connections.admit(busy)
    const stuckOne = connections.admit(stuck)
    busyOne?.busy(1)
    stuckOne?.busy(1)
    const said: ByteChannel[] = []
    let drained = false
    void connections.drain(2000, connection => void said.push(connection.channel)).then(() => (drained = true))
    expect(said).toEqual([quiet])
    quietOne?.remove()
    expect(connections.admit(channel('d'))).toBeNull()
    busyOne?.busy(0)
    expect(said).toEqual([quiet, busy])
    busyOne?.remove()
    await clock.advance(2000)
    expect([stuck.destroyed, busy.destroyed, drained]).toEqual([true, false, false])
    stuckOne?.remove()
    await clock.advance(0)
    expect([drained, clock.pending]).toEqual([true, 0])
  })
})
