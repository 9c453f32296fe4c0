import type { ReceivedAnswer } from '@iopa/context'
import { describe, expect, test } from 'vitest'
import { connected, FakePeer, state, unreachable } from './fake-links.ts'

const next = async (answers: AsyncIterator<ReceivedAnswer>): Promise<unknown> => {
  const step = await answers.next()
  return step.done === true ? 'ended' : step.value.text()
}

const observing = async (peer: FakePeer, options: Parameters<typeof connected>[1] = {}) => {
  const { client, clock } = await connected(peer, options)
  const answers = client.observe('/x')[Symbol.asyncIterator]()
  return { client, clock, answers }
}

describe('an observation', () => {
  test('delivers each answer, and ends its subscription when the loop is left', async () => {
    const peer = new FakePeer()
    const { answers, clock } = await observing(peer)
    const first = next(answers)
    await clock.settle()
    peer.last.answer('1')
    expect(await first).toBe('1')
    peer.last.answer('2')
    peer.last.answer('3')
    expect([await next(answers), await next(answers)]).toEqual(['2', '3'])
    await answers.return?.()
    expect([peer.last.signal.aborted, clock.pending]).toEqual([true, 0])
  })

  test('keeps the newest answers for a slow reader', async () => {
    const peer = new FakePeer()
    const { answers, clock } = await observing(peer, { limits: { queueMessages: 2 } })
    const first = next(answers)
    await clock.settle()
    for (const text of ['1', '2', '3', '4']) peer.last.answer(text)
    expect(await first).toBe('1')
    expect([await next(answers), await next(answers)]).toEqual(['3', '4'])
  })

  test('waits without limit for its first answer after the peer has accepted, and rejects with 504 before', async () => {
    const peer = new FakePeer()
    const { answers, clock, client } = await observing(peer, { timeout: 1000 })
    const first = next(answers)
    await clock.settle()
    peer.last.sink?.accepted()
    await clock.advance(100_000)
    expect(await state(first)).toBe('waits')
    peer.last.answer('1')
    expect(await first).toBe('1')
    const late = next(client.observe('/y')[Symbol.asyncIterator]()).catch((error: unknown) => error)
    await clock.advance(1000)
    expect(await late).toMatchObject({ status: 504, code: 'timeout' })
  })

  test('rejects if the peer refuses, or if the first link is lost before it was accepted', async () => {
    const peer = new FakePeer()
    const { answers, clock, client } = await observing(peer)
    const first = next(answers).catch((error: unknown) => error)
    await clock.settle()
    peer.last.answer('no', 403)
    expect(await first).toMatchObject({ status: 403, code: 'refused' })
    expect(peer.last.signal.aborted).toBe(true)
    const lost = next(client.observe('/y')[Symbol.asyncIterator]()).catch((error: unknown) => error)
    await clock.settle()
    peer.links[0]?.lose()
    expect(await lost).toMatchObject({ status: 502, code: 'disconnected' })
    expect(clock.pending).toBe(0)
  })

  test('subscribes again after a loss, with growing pauses, and then delivers only the newest state', async () => {
    const peer = new FakePeer()
    const { answers, clock } = await observing(peer)
    const first = next(answers)
    await clock.settle()
    peer.last.answer('1')
    expect(await first).toBe('1')
    peer.last.answer('2')
    peer.opening = unreachable
    peer.links[0]?.lose(true, { resume: 'after 2' })
    const begun = clock.elapsed()
    const tries: number[] = []
    for (let opened = peer.opened; tries.length < 8; opened++) {
      await clock.runUntil(() => peer.opened > opened)
      tries.push(clock.elapsed() - begun)
    }
    const pauses = tries.map((at, index) => at - (tries[index - 1] ?? 0))
    pauses.forEach((pause, index) => {
      const step = Math.min(60_000, 500 * 2 ** index)
      // What a subscription that was accepted leaves behind is a shorter bound, for its first pause.
      expect(pause).toBeGreaterThanOrEqual(step / 2)
      expect(pause).toBeLessThanOrEqual(step)
    })
    peer.opening = null
    await clock.runUntil(() => peer.links.length === 2)
    await clock.settle()
    expect(peer.last.resume).toBe('after 2')
    peer.last.answer('9')
    expect(await next(answers)).toBe('9')
    await answers.return?.()
    expect(clock.pending).toBe(0)
  })

  test('backs off from a peer that answers and closes at once, and waits as long as the peer asks', async () => {
    const peer = new FakePeer()
    const { answers, clock } = await observing(peer)
    let asked: number[] = []
    let parts = {}
    peer.handle = one => {
      asked.push(clock.elapsed())
      one.answer('x')
      one.link.lose(true, parts)
    }
    void answers.next()
    await clock.advance(120_000)
    const pauses = asked.map((at, index) => at - (asked[index - 1] ?? 0)).slice(-5)
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(2_500)
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(5_000)
    asked = []
    parts = { retryAfter: 20_000 }
    await clock.advance(100_000)
    for (const pause of asked.map((at, index) => at - (asked[index - 1] ?? at)).slice(2)) expect(pause).toBeGreaterThanOrEqual(10_000)
    await answers.return?.()
  })

  test('retries at once when another request of its client is answered, but once until that succeeds', async () => {
    const peer = new FakePeer()
    const { answers, clock, client } = await observing(peer)
    const first = next(answers)
    await clock.settle()
    peer.last.answer('1')
    await first
    peer.opening = unreachable
    peer.links[0]?.lose()
    await clock.advance(200_000)
    peer.opening = null
    peer.handle = asked => (asked.sink === null ? asked.answer() : undefined)
    const before = clock.elapsed()
    expect((await client.get('/y')).status).toBe(200)
    await clock.settle()
    expect([peer.last.sink !== null, clock.elapsed() - before]).toEqual([true, 0])
    peer.last.answer('2')
    expect(await next(answers)).toBe('2')
    await answers.return?.()
  })

  test('ends at once with its signal and with its client, also during a pause', async () => {
    for (const pausing of [false, true]) {
      const peer = new FakePeer()
      const { clock, client } = await connected(peer)
      const stop = new AbortController()
      const own = client.observe('/x', { signal: stop.signal })[Symbol.asyncIterator]()
      const other = client.observe('/x')[Symbol.asyncIterator]()
      const firsts = [next(own), next(other)]
      await clock.settle()
      for (const asked of peer.asked) asked.answer('1')
      expect(await Promise.all(firsts)).toEqual(['1', '1'])
      if (pausing) {
        peer.opening = unreachable
        peer.links[0]?.lose()
        await clock.advance(10)
      }
      const ends = [next(own), next(other)]
      await clock.settle()
      stop.abort(new Error('enough'))
      expect(await ends[0]).toBe('ended')
      await client.close()
      expect(await ends[1]).toBe('ended')
      expect(clock.pending).toBe(0)
    }
  })

  test('uses a separate link if links carry one request', async () => {
    const peer = new FakePeer(1)
    const { answers, clock, client } = await observing(peer, { maxLinks: 1 })
    const first = next(answers)
    await clock.settle()
    peer.last.answer('1')
    await first
    peer.handle = asked => asked.answer()
    expect((await client.get('/y')).status).toBe(200)
    expect(peer.links.length).toBe(2)
    await answers.return?.()
    await clock.settle()
    expect(peer.links[1]?.isClosed).toBe(true)
  })

  test('rejects with 503 overloaded over limits.observersPerConnection', async () => {
    const peer = new FakePeer()
    peer.handle = asked => asked.answer('x')
    const { client } = await connected(peer, { limits: { observersPerConnection: 1 } })
    const first = client.observe('/1')[Symbol.asyncIterator]()
    expect(await next(first)).toBe('x')
    await expect(next(client.observe('/2')[Symbol.asyncIterator]())).rejects.toMatchObject({ status: 503, code: 'overloaded' })
    await first.return?.()
    expect(await next(client.observe('/2')[Symbol.asyncIterator]())).toBe('x')
  })
})
