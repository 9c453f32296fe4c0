import type { ByteChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '../src/virtual/clock.ts'
import { type VirtualNetworkOptions, virtualNetwork } from '../src/virtual/network.ts'

const record = (channel: ByteChannel) => {
  const log = {
    chunks: [] as Uint8Array[],
    events: [] as string[],
    text: () => Buffer.concat(log.chunks).toString(),
    size: () => log.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }
  channel.open({
    data: chunk => log.chunks.push(chunk),
    end: () => log.events.push('end'),
    drain: () => log.events.push('drain'),
    close: error => log.events.push(error ? `close ${(error as Error & { code: string }).code}` : 'close')
  })
  return log
}

const connection = async (options: Omit<VirtualNetworkOptions, 'clock'> = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...options })
  const accepted: ByteChannel[] = []
  const server = await network.listen({ host: '127.0.0.1', port: 0 }, channel => accepted.push(channel))
  const client = await clock.runUntil(network.connect({ host: '127.0.0.1', port: server.port }))
  await clock.advance(5)
  const far = accepted[0]!
  return { clock, network, server, client, far, near: record(client), there: record(far) }
}

describe('virtual streams', () => {
  test("connect two ends that know each other's address", async () => {
    const { client, far, server } = await connection()
    expect([client.remotePort, far.localPort]).toEqual([server.port, server.port])
    expect(client.localPort).toBe(far.remotePort)
    expect([client.tls, client.raw]).toEqual([false, null])
  })

  test('carry bytes in both directions, each write in its own piece after the delay', async () => {
    const { clock, client, far, near, there } = await connection({ delay: 10 })
    client.write('one')
    client.write(Uint8Array.of(0x32))
    await clock.advance(9)
    expect(there.chunks).toHaveLength(0)
    await clock.advance(1)
    expect(there.chunks.map(String)).toEqual(['111,110,101', '50'])
    far.write('back')
    await clock.advance(10)
    expect(near.text()).toBe('back')
  })

  test('split and join writes without changing their order', async () => {
    const sent = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251))
    for (const seed of [1, 2, 3]) {
      const { clock, client, there } = await connection({ seed, splitting: 60, coalescing: 0.5, delay: [1, 40] })
      for (let at = 0; at < sent.length; at += 37) client.write(sent.subarray(at, at + 37))
      await clock.advance(10_000)
      expect(Buffer.concat(there.chunks).equals(sent)).toBe(true)
      expect(there.chunks.length).toBeGreaterThan(83)
      expect(Math.max(...there.chunks.map(chunk => chunk.length))).toBeGreaterThan(37)
      expect(Math.max(...there.chunks.map(chunk => chunk.length))).toBeLessThanOrEqual(60)
    }
    const { clock, client, there } = await connection({ coalescing: 1 })
    for (let i = 0; i < 10; i++) client.write('x')
    await clock.advance(100)
    expect(there.chunks).toHaveLength(1)
  })

  test('make a writer wait for a paused reader', async () => {
    const { clock, client, far, near, there } = await connection({ window: 1000 })
    far.pause()
    expect(client.write(new Uint8Array(10_000))).toBe(true)
    expect(client.write(new Uint8Array(10_000))).toBe(false)
    await clock.advance(1000)
    expect([there.size(), client.buffered, near.events]).toEqual([0, 19_000, []])
    far.resume()
    await clock.advance(1000)
    expect([there.size(), client.buffered, near.events]).toEqual([20_000, 0, ['drain']])
  })

  test('stop at a pause in the middle of received data', async () => {
    const { clock, client, far } = await connection()
    let text = ''
    const data = (chunk: Uint8Array): void => {
      text += Buffer.from(chunk)
      far.pause()
    }
    far.open({ data, end: () => {}, drain: () => {}, close: () => {} })
    client.write('a')
    client.write('b')
    await clock.advance(10)
    expect(text).toBe('a')
    far.resume()
    await clock.advance(10)
    expect(text).toBe('ab')
  })

  test('end one direction and still carry the other', async () => {
    const { clock, client, far, near, there } = await connection()
    client.write('question')
    client.end()
    expect(client.write('too late')).toBe(false)
    await clock.advance(10)
    expect([there.text(), there.events]).toEqual(['question', ['end']])
    far.write('answer')
    far.end()
    await clock.advance(10)
    expect([near.text(), near.events, there.events]).toEqual(['answer', ['end', 'close'], ['end', 'close']])
  })

  test('show a dropped connection as an end, and answer later writes with a reset', async () => {
    const { clock, client, far, near, there } = await connection()
    client.write('last words')
    await clock.advance(10)
    client.destroy()
    client.destroy()
    await clock.advance(10)
    expect([near.events, there.text(), there.events]).toEqual([['close'], 'last words', ['end']])
    far.write('anybody?')
    await clock.advance(10)
    expect(there.events).toEqual(['end', 'close ECONNRESET'])
  })

  test('close the other side when it ends after a drop', async () => {
    const { clock, client, far, there } = await connection()
    client.destroy()
    await clock.advance(10)
    far.end()
    await clock.advance(10)
    expect(there.events).toEqual(['end', 'close'])
  })

  test('reset the peer when data was left unread', async () => {
    const { clock, client, far, near, there } = await connection()
    far.pause()
    client.write('unread')
    await clock.advance(10)
    far.destroy()
    await clock.advance(10)
    expect([near.events, there.events]).toEqual([['close ECONNRESET'], ['close']])
  })

  test('break on both sides when the network breaks', async () => {
    const { clock, network, client, far, near, there } = await connection()
    client.write('never arrives')
    network.disconnect()
    await clock.advance(10)
    expect([near.events, there.events, there.text()]).toEqual([['close ECONNRESET'], ['close ECONNRESET'], ''])
    expect([client.write('x'), far.write('x')]).toEqual([false, false])
    network.disconnect()
    await clock.advance(10)
    expect(near.events).toHaveLength(1)
  })

  test('refuse a closed port, a port in use, and TLS on only one side', async () => {
    const { clock, network, server } = await connection()
    const connect = (port: number, tls?: object) => clock.runUntil(network.connect({ host: 'localhost', port, ...(tls && { tls }) }))
    await expect(connect(1)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(connect(server.port, {})).rejects.toMatchObject({ code: 'ECONNRESET' })
    await expect(network.listen({ host: '127.0.0.1', port: server.port }, () => {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await server.close()
    await expect(connect(server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('stop connecting when the signal aborts', async () => {
    const { clock, network, server } = await connection({ delay: 100 })
    const abort = new AbortController()
    const waiting = network.connect({ host: '127.0.0.1', port: server.port }, abort.signal)
    clock.setTimeout(() => abort.abort(new Error('enough')), 50)
    await expect(clock.runUntil(waiting)).rejects.toThrow('enough')
    await expect(network.connect({ host: '127.0.0.1', port: server.port }, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
    expect(clock.pending).toBe(0)
  })
})
