import type { Context, RandomAccessBody } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import type { Remote } from '../src/exchanges/exchange.ts'
import { KeptAnswers } from '../src/resources/kept-answers.ts'
import { diagnostic, type Representation } from '../src/resources/representation.ts'
import type { CoapRequest } from '../src/resources/request.ts'
import { TurnedClock } from './scripted-channel.ts'

const remote = (sessionId: string) => ({ endpoint: { sessionId } }) as unknown as Remote
const request = (transferKey: string) => ({ transferKey }) as CoapRequest
const text = (): Representation => diagnostic(CODE.CONTENT, 'x'.repeat(100))
const file = (): Representation => {
  const payload: RandomAccessBody = { size: 100, read: async (start, end) => new Uint8Array(end - start), async *[Symbol.asyncIterator]() {} }
  return { ...diagnostic(CODE.CONTENT, ''), payload, size: 100 }
}
const owner = (ended: string[], name: string) => ({ end: () => void ended.push(name) }) as unknown as Context

const keeping = () => {
  const clock = new TurnedClock()
  return { clock, kept: new KeptAnswers({ clock, bytes: 10_000, lifetime: 60_000 }) }
}

describe('kept answers', () => {
  test('to one request are one: what is read in parts gives way to what is in memory, and the other way round', () => {
    const { kept } = keeping()
    const ended: string[] = []
    const peer = remote('a')
    kept.keep(peer, request('k'), file(), owner(ended, 'file'))
    const inMemory = kept.keep(peer, request('k'), text(), undefined)
    expect([kept.find(peer, request('k')), ended]).toEqual([inMemory, ['file']])
    const again = kept.keep(peer, request('k'), file(), owner(ended, 'again'))
    expect(kept.find(peer, request('k'))).toBe(again)
    kept.remove(peer, request('k'))
    expect([kept.find(peer, request('k')), ended]).toEqual([undefined, ['file', 'again']])
  })

  test('are closed in time although one that is kept for longer came first, and with one timer for all', () => {
    const { clock, kept } = keeping()
    const ended: string[] = []
    kept.keep(remote('a'), request('text'), text(), owner(ended, 'text'))
    kept.keep(remote('b'), request('file'), file(), owner(ended, 'file'))
    expect(clock.timers).toBe(1)
    clock.advance(9999)
    expect(ended).toEqual([])
    clock.advance(1001)
    expect(ended).toEqual(['file'])
    clock.advance(50_000)
    expect([ended, clock.timers]).toEqual([['file', 'text'], 0])
  })

  test('are let go when their connection or the server ends', () => {
    const { clock, kept } = keeping()
    const ended: string[] = []
    const [gone, other] = [remote('a'), remote('b')]
    kept.keep(gone, request('1'), text(), owner(ended, 'text'))
    kept.keep(gone, request('2'), file(), owner(ended, 'file'))
    kept.keep(other, request('1'), file(), owner(ended, 'other'))
    kept.forget(gone)
    expect(ended).toEqual(['text', 'file'])
    kept.close()
    expect([ended, clock.timers]).toEqual([['text', 'file', 'other'], 0])
  })
})
