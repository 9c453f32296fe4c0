import type { ByteChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { Outflow } from '../src/server/outflow.ts'
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
  return { calls, outflow: new Outflow(channel as unknown as ByteChannel) }
}

const head = { text: 'HTTP/1.1 200 OK\r\n\r\n', ascii: true }

describe('what leaves', () => {
  test('is handed to the system as it is where it is long, and with its head in one call', () => {
    for (const size of [4097, 8192, 65_536, 65_537, 200_000]) {
      const { calls, outflow } = noting()
      const body = new Uint8Array(size)
      outflow.head(head)
      outflow.bytes(body)
      outflow.flush()
      expect(calls, String(size)).toHaveLength(1)
      expect(calls[0]).toHaveLength(2)
      expect(calls[0]?.[1]).toBe(body)
    }
  })

  test('is joined where it is short', () => {
    const { calls, outflow } = noting()
    outflow.head(head)
    outflow.bytes(new Uint8Array(4096))
    outflow.head(head)
    outflow.bytes(new Uint8Array(10))
    outflow.flush()
    expect(calls).toHaveLength(1)
    expect(calls[0]).toHaveLength(1)
  })

  test('waits for the peer when the channel says so', () => {
    const { outflow } = noting(false)
    outflow.head(head)
    outflow.bytes(new Uint8Array(10_000))
    outflow.flush()
    expect(outflow.writable).toBe(false)
    outflow.drained()
    expect(outflow.writable).toBe(true)
  })

  test('leaves its source free to use the array of a chunk again', () => {
    const { calls, outflow } = noting()
    for (const size of [10, 5000, 65_536]) {
      const chunk = new Uint8Array(size).fill(1)
      outflow.chunk(chunk)
      outflow.flush()
      chunk.fill(2)
    }
    expect(Buffer.concat(calls.flat() as Uint8Array[]).includes(2)).toBe(false)
  })
})

test('an answer of any length arrives as it is, behind those before it', async () => {
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
