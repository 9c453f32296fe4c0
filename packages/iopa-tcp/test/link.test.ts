import { getEventListeners } from 'node:events'
import { virtualClock } from '@iopa/testing'
import { type ByteChannel, type ByteReceiver, DEFAULT_LIMITS, outgoing } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { framingOf } from '../src/framing-option.ts'
import { TcpLink } from '../src/link.ts'

describe('a TCP link', () => {
  const make = (framing: 'bag' | 'lines') => {
    const clock = virtualClock()
    const written: string[] = []
    let writable = true
    let receiver: ByteReceiver | undefined
    const channel = {
      buffered: 0,
      open: (opened: ByteReceiver) => void (receiver = opened),
      write: (data: Uint8Array) => {
        written.push(Buffer.from(data).toString())
        return writable
      },
      end: () => undefined,
      destroy: () => undefined
    } as unknown as ByteChannel
    const link = new TcpLink(channel, { framing: framingOf(framing), bag: framing === 'bag', limits: DEFAULT_LIMITS, clock })
    const ended: string[] = []
    const ask = (name: string, signal: AbortSignal = new AbortController().signal): void => {
      link.request(outgoing({ 'iopa.Path': `/${name}`, 'iopa.Body': Buffer.from(name) }), { signal }).then(
        answer => ended.push(answer === undefined ? `${name} given up` : `${name} answered`),
        error => ended.push(`${name} lost, ${error.sent ? 'sent' : 'not sent'}`)
      )
    }
    const block = (blocked: boolean): void => {
      writable = !blocked
      if (!blocked) receiver?.drain()
    }
    return { clock, written, ended, ask, block, receive: (text: string) => receiver?.data(Buffer.from(text)), lose: () => receiver?.close() }
  }

  test('gives the next message its own answer after an aborted plain message', async () => {
    const { clock, ended, ask, receive } = make('lines')
    const abort = new AbortController()
    ask('a', abort.signal)
    ask('b')
    await clock.settle()
    abort.abort(new Error('enough'))
    receive('x\n')
    await clock.settle()
    expect(ended).toEqual(['a given up'])
    receive('y\n')
    await clock.settle()
    expect(ended).toEqual(['a given up', 'b answered'])
  })

  test('reports for each lost request whether it was sent', async () => {
    const { clock, ended, ask, block, lose } = make('bag')
    block(true)
    ask('a')
    await clock.settle()
    ask('b')
    await clock.settle()
    lose()
    await clock.settle()
    expect(ended).toEqual(['a lost, sent', 'b lost, not sent'])
  })

  test('does not send requests that were aborted while the peer did not read', async () => {
    const { clock, written, ask, block } = make('bag')
    block(true)
    ask('a')
    await clock.settle()
    const abort = new AbortController()
    ask('b', abort.signal)
    ask('c')
    await clock.settle()
    abort.abort(new Error('enough'))
    block(false)
    await clock.settle()
    expect(written.join('')).toContain('"/c"')
    expect(written.join('')).not.toContain('"/b"')
  })

  test('leaves no listener on the signal of an answered request', async () => {
    const { clock, ended, ask, receive } = make('lines')
    const { signal } = new AbortController()
    ask('a', signal)
    await clock.settle()
    expect(getEventListeners(signal, 'abort').length).toBe(1)
    receive('x\n')
    await clock.settle()
    expect(ended).toEqual(['a answered'])
    expect(getEventListeners(signal, 'abort').length).toBe(0)
  })
})
