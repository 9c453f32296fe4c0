import type { ByteChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { WriteBuffer } from '../src/server/write-buffer.ts'
import { ask, parse, serve } from './support.ts'

/** A channel that notes what it is handed, and as what. */
const noting = (writable = true) => {
  const calls: (readonly (string | Uint8Array)[])[] = []
  const channel = {
    write: (piece: string | Uint8Array) => {
      calls.push([piece])
      return writable
    },
    writeAll: (pieces: readonly Uint8Array[]) => {
      calls.push(pieces)
      return writable
    }
  }
  return { calls, buffer: new WriteBuffer(channel as unknown as ByteChannel) }
}

const head = 'HTTP/1.1 200 OK\r\n\r\n'

describe('WriteBuffer', () => {
  test('passes long bytes to the channel uncopied, and with their head in one call', () => {
    for (const size of [4097, 8192, 65_536, 65_537, 200_000]) {
      const { calls, buffer } = noting()
      const body = new Uint8Array(size)
      buffer.head(head, true)
      buffer.bytes(body)
      buffer.flush()
      expect(calls, String(size)).toHaveLength(1)
      expect(calls[0]).toHaveLength(2)
      expect(calls[0]?.[1]).toBe(body)
    }
  })

  test('joins short pieces', () => {
    const { calls, buffer } = noting()
    buffer.head(head, true)
    buffer.bytes(new Uint8Array(4096))
    buffer.head(head, true)
    buffer.bytes(new Uint8Array(10))
    buffer.flush()
    expect(calls).toHaveLength(1)
    expect(calls[0]).toHaveLength(1)
  })

  test('blocks until the channel drains', () => {
    const { buffer } = noting(false)
    buffer.head(head, true)
    buffer.bytes(new Uint8Array(10_000))
    buffer.flush()
    expect(buffer.blocked).toBe(true)
    buffer.drained()
    expect(buffer.blocked).toBe(false)
  })

  test('lets its source reuse the array of a chunk', () => {
    const { calls, buffer } = noting()
    for (const size of [10, 5000, 65_536]) {
      const chunk = new Uint8Array(size).fill(1)
      buffer.chunk(chunk)
      buffer.flush()
      chunk.fill(2)
    }
    expect(Buffer.concat(calls.flat() as Uint8Array[]).includes(2)).toBe(false)
  })
})

test('delivers an answer of any length unchanged, after earlier ones', async () => {
  const body = (size: number): Uint8Array => Buffer.alloc(size, 'abcdefghijk')
  const { port } = await serve(context => body(Number(context.path.slice(1))))
  const get = (size: number, fields = ''): string => `GET /${size} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
  for (const size of [0, 1, 4095, 4096, 4097, 8192, 65_535, 65_536, 65_537, 262_144, 262_145, 600_000]) {
    const text = await ask(port, get(5) + get(size) + get(7, 'Connection: close\r\n'))
    const [first = '', second = '', third = ''] = text.split(/(?=HTTP\/1\.1 )/)
    expect([first, third].map(part => parse(part).body)).toEqual(['abcde', 'abcdefg'])
    expect(parse(second).body === Buffer.from(body(size)).toString()).toBe(true)
  }
})
