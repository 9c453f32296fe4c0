import { describe, expect, test } from 'vitest'
import { virtualClock } from '../src/virtual/clock.ts'
import { type VirtualNetworkOptions, virtualNetwork } from '../src/virtual/network.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

const pair = async (options: Omit<VirtualNetworkOptions, 'clock'> = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...options })
  const a = await network.bind({ host: '127.0.0.1', port: 0 })
  const b = await network.bind({ host: '127.0.0.1', port: 0 })
  const received: { value: number; time: number; from: string; toMulticast: boolean | undefined }[] = []
  const errors: Error[] = []
  b.open({
    message: (data, address, port, toMulticast) => {
      received.push({ value: data[0]!, time: clock.now(), from: `${address}:${port}`, toMulticast })
      // What was received belongs to the receiver.
      data.fill(99)
    },
    error: () => {}
  })
  a.open({ message: () => {}, error: error => errors.push(error) })
  const send = (value: number): void => a.send(bytes(value), b.localPort, '127.0.0.1')
  return { clock, network, a, b, received, errors, send, values: () => received.map(({ value }) => value) }
}

describe('virtual datagrams', () => {
  test('arrive after the delay, with their source address', async () => {
    const { clock, a, received, send } = await pair({ delay: 25 })
    send(7)
    await clock.advance(24)
    expect(received).toEqual([])
    await clock.advance(1)
    expect(received).toEqual([{ value: 7, time: 25, from: `127.0.0.1:${a.localPort}`, toMulticast: false }])
  })

  test('are lost, duplicated and reordered as often as configured', async () => {
    const run = async (options: Omit<VirtualNetworkOptions, 'clock'>) => {
      const { clock, send, values } = await pair(options)
      for (let i = 0; i < 2000; i++) {
        send(i % 256)
        await clock.advance(2)
      }
      await clock.advance(1000)
      return values()
    }
    const share = (values: number[]): number => values.length / 2000
    expect(share(await run({}))).toBe(1)
    expect(share(await run({ loss: 0.3 }))).toBeCloseTo(0.7, 1)
    expect(share(await run({ duplication: 0.25 }))).toBeCloseTo(1.25, 1)
    const reordered = await run({ reordering: 0.2 })
    expect(share(reordered)).toBe(1)
    const late = reordered.filter((value, i) => i > 0 && (reordered[i - 1]! - value + 256) % 256 < 128 && reordered[i - 1] !== value)
    expect(late.length).toBeGreaterThan(100)
    expect(await run({ loss: 1 })).toEqual([])
  })

  test('have the same faults for the same seed, and others for another', async () => {
    const run = async (seed: number) => {
      const { clock, send, values } = await pair({ seed, loss: 0.3, duplication: 0.2, reordering: 0.2, delay: [1, 30] })
      for (let i = 0; i < 200; i++) send(i)
      await clock.advance(1000)
      return values()
    }
    expect(await run(4)).toEqual(await run(4))
    expect(await run(4)).not.toEqual(await run(5))
  })

  test('follow a script, one by one', async () => {
    const fates: (undefined | 'drop' | 'pass' | number[])[] = ['drop', 'pass', [5, 50], undefined]
    const { clock, network, received, send } = await pair({ loss: 1, delay: 10, script: ({ number }) => fates[number - 1] })
    for (let i = 1; i <= 4; i++) send(i)
    await clock.advance(100)
    expect(received.map(({ value, time }) => [value, time])).toEqual([
      [3, 5],
      [2, 10],
      [3, 50]
    ])
    expect(network.trace.map(({ fate }) => fate)).toEqual(['lost', 'delivered', 'duplicated', 'lost'])
    network.script = undefined
    network.conditions = { ...network.conditions, loss: 0 }
    send(5)
    await clock.advance(100)
    expect(received.at(-1)!.value).toBe(5)
  })

  test("are copied, so that no sender, script or receiver changes others' data", async () => {
    const { clock, a, b, network, values } = await pair({ duplication: 1 })
    const sent = bytes(1)
    a.send(sent, b.localPort, '127.0.0.1')
    sent[0] = 9
    await clock.advance(200)
    expect(values()).toEqual([1, 1])
    network.script = packet => {
      packet.bytes[0] = 42
      return 'pass'
    }
    a.send(sent, b.localPort, '127.0.0.1')
    await clock.advance(10)
    expect([values().at(-1), sent[0]]).toEqual([42, 9])
  })

  test('are lost over the mtu, and refused with an error above the size of a datagram', async () => {
    const { clock, a, b, errors, values, network } = await pair({ mtu: 100 })
    a.send(new Uint8Array(101), b.localPort, '127.0.0.1')
    a.send(new Uint8Array(100), b.localPort, '127.0.0.1')
    a.send(new Uint8Array(65_508), b.localPort, '127.0.0.1')
    await clock.advance(10)
    expect(values()).toEqual([0])
    expect(errors).toEqual([expect.objectContaining({ code: 'EMSGSIZE' })])
    expect(network.trace.map(({ fate }) => fate)).toEqual(['too-large', 'delivered', 'too-large'])
  })

  test('are dropped from a closed channel, or without a receiver', async () => {
    const { clock, a, b, network, values } = await pair()
    await b.close()
    a.send(bytes(1), b.localPort, '127.0.0.1')
    await a.close()
    a.send(bytes(2), b.localPort, '127.0.0.1')
    await clock.advance(10)
    expect(values()).toEqual([])
    expect(network.trace.map(({ fate }) => fate)).toEqual(['unreachable', 'closed'])
  })

  test('take a port once unless it is shared, and free it on close', async () => {
    const { network, b } = await pair()
    await expect(network.bind({ host: '127.0.0.1', port: b.localPort })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await b.close()
    const again = await network.bind({ host: '127.0.0.1', port: b.localPort, shared: true })
    expect((await network.bind({ host: '127.0.0.1', port: again.localPort, shared: true })).localPort).toBe(again.localPort)
  })

  test('reach every member of a multicast group, and are marked as multicast', async () => {
    const { clock, network, a } = await pair()
    const heard: string[] = []
    const members = []
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) {
      const member = await network.machine(address).bind({ host: '0.0.0.0', port: 5683, shared: true })
      member.open({ message: (_, from, __, toMulticast) => heard.push(`${address} ${from} ${toMulticast}`), error: () => {} })
      members.push(member)
    }
    members[0]!.join!('224.0.1.187')
    members[1]!.join!('224.0.1.187')
    a.send(bytes(1), 5683, '224.0.1.187')
    await clock.advance(10)
    expect(heard).toEqual(['10.0.0.1 127.0.0.1 true', '10.0.0.2 127.0.0.1 true'])
    await members[0]!.close()
    a.send(bytes(1), 5683, '224.0.1.187')
    await clock.advance(10)
    expect(heard).toHaveLength(3)
  })

  test('can be sent with any source address, even from port 0', async () => {
    const { clock, network, b, received } = await pair()
    network.inject(bytes(3), { address: '203.0.113.9', port: 0 }, { address: '127.0.0.1', port: b.localPort })
    await clock.advance(10)
    expect(received[0]).toMatchObject({ value: 3, from: '203.0.113.9:0' })
  })

  test('leave a bounded trace', async () => {
    const { clock, network, send } = await pair({ traceLength: 10 })
    for (let i = 0; i < 1000; i++) send(1)
    await clock.advance(10)
    expect(network.trace.length).toBeLessThan(20)
    expect(network.trace.at(-1)!.number).toBe(1000)
  })
})
