import { App, type Bag, type ReceivedAnswer } from '@iopa/appbuilder'
import { type CoapListener, type CoapOptions, coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { CODE } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { eventually } from './eventually.ts'
import { startClient } from './peer-programs.ts'
import { line, RawPeer } from './raw-peer.ts'

const SERVER = '10.0.0.1'

/** A text again and again, for ten blocks and more. */
const long = (text: string): string => text.repeat(Math.ceil(10_000 / text.length))

/** An app that answers FETCH /words with those words of its state that begin with what the body says. */
const wordsApp = (options: CoapOptions, init: ConstructorParameters<typeof App>[0] = { logger: false }) => {
  const app = new App(init).use(router()).use(coap(options))
  const asked: string[] = []
  let words = 'ant bee'
  app.on('FETCH', '/words', async context => {
    const start = await context.text()
    asked.push(`${start.slice(0, 8)}${context['server.IsNotification'] ? ' again' : ''}`)
    return words
      .split(' ')
      .filter(word => word.startsWith(start[0] ?? ''))
      .join(' ')
  })
  // An answer of several blocks that says which question it belongs to.
  app.on('FETCH', '/long', async context => long(`${await context.text()} ${words} `))
  return {
    app,
    asked,
    setWords(value: string) {
      words = value
      app.notify('/words')
      app.notify('/long')
    }
  }
}

interface HouseOptions {
  readonly network?: Omit<VirtualNetworkOptions, 'clock'>
  readonly coap?: CoapOptions
}

const house = async ({ network: conditions, coap: options }: HouseOptions = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...conditions })
  const transmission = { ackTimeout: 200, maxRetransmit: 12 }
  const home = wordsApp(
    {
      host: SERVER,
      port: 5683,
      tcp: true,
      allowUnauthenticated: true,
      amplification: false,
      transmission,
      clock,
      network: network.machine(SERVER),
      ...options
    },
    { logger: false, clock }
  )
  await home.app.listen()
  const clientApp = new App({ logger: false, clock }).use(coap({ transmission, clock, network: network.machine('10.0.0.2') }))
  return {
    ...home,
    clock,
    network,
    connect: (scheme = 'coap') => clock.runUntil(clientApp.connect(`${scheme}://${SERVER}`)),
    close: () => clock.runUntil(Promise.all([clientApp.close({ timeout: 1000 }), home.app.close({ timeout: 1000 })]))
  }
}

const fetching = (path: string, body: string, stop?: AbortController): Bag => ({
  'iopa.Method': 'FETCH',
  'iopa.Path': path,
  'iopa.Body': body,
  'iopa.ContentType': 'text/plain',
  ...(stop === undefined ? undefined : { 'iopa.CallCancelled': stop.signal })
})

const collect = (answers: AsyncIterable<ReceivedAnswer>) => {
  const texts: string[] = []
  const done = (async () => {
    for await (const answer of answers) texts.push(Buffer.from(await answer.bytes()).toString())
  })()
  done.catch(() => {})
  return { texts, done }
}

describe('observing with FETCH (RFC 8132 section 2.4)', () => {
  // A connection is a context too.
  for (const [scheme, idle] of [
    ['coap', 0],
    ['coap+tcp', 1]
  ] as const) {
    test(`over ${scheme}: each change is the answer to the same question, until the observer leaves`, async () => {
      const home = await house()
      const client = await home.connect(scheme)
      const stop = new AbortController()
      const ants = collect(client.observe(fetching('/words', 'a', stop)))
      const bees = collect(client.observe(fetching('/words', 'b', stop)))
      await home.clock.runUntil(() => ants.texts.length === 1 && bees.texts.length === 1)
      home.setWords('ape ant bug')
      await home.clock.runUntil(() => ants.texts.length === 2 && bees.texts.length === 2)
      expect([ants.texts, bees.texts]).toEqual([
        ['ant', 'ape ant'],
        ['bee', 'bug']
      ])
      // What they ask differs, so neither run serves the other.
      expect(home.asked.slice(2).sort()).toEqual(['a again', 'b again'])
      stop.abort()
      await home.clock.runUntil(Promise.all([ants.done, bees.done]))
      await home.clock.runUntil(() => home.app.live === idle)
      await home.clock.advance(10_000)
      home.setWords('axe box')
      await home.clock.advance(1000)
      expect(home.asked.filter(question => question.endsWith('again'))).toHaveLength(2)
      await home.close()
      expect(home.app.live).toBe(0)
    })

    test(`over ${scheme}: a body of several messages is sent, kept and asked again whole`, async () => {
      const home = await house({ coap: { limits: { body: 64 * 1024 } } })
      const client = await home.connect(scheme)
      const stop = new AbortController()
      const question = 'b'.repeat(50_000)
      const seen = collect(client.observe(fetching('/words', question, stop)))
      await home.clock.runUntil(() => seen.texts.length === 1)
      home.setWords('bat')
      await home.clock.runUntil(() => seen.texts.length === 2)
      expect(seen.texts).toEqual(['bee', 'bat'])
      expect(home.asked).toEqual(['bbbbbbbb', 'bbbbbbbb again'])
      stop.abort()
      await home.clock.runUntil(seen.done)
      await home.clock.runUntil(() => home.app.live === idle, 20_000)
      await home.close()
    })
  }

  test('tells equal questions from one run, and others from runs of their own', async () => {
    const home = await house()
    const client = await home.connect()
    const seen = ['a', 'a', 'b'].map(body => collect(client.observe(fetching('/words', body))))
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 1))
    home.setWords('axe box')
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 2))
    expect(seen.map(({ texts }) => texts.at(-1))).toEqual(['axe', 'axe', 'box'])
    expect(home.asked.filter(question => question.endsWith('again')).sort()).toEqual(['a again', 'b again'])
    await home.close()
  })

  test('keeps the blocks of two long answers apart, each of which belongs to another question', async () => {
    const home = await house({ network: { delay: 5 } })
    const client = await home.connect()
    const seen = ['first', 'other'].map(body => collect(client.observe(fetching('/long', body))))
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 1))
    home.setWords('cat')
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 2))
    expect(seen.map(({ texts }) => texts)).toEqual(['first', 'other'].map(question => ['ant bee', 'cat'].map(words => long(`${question} ${words} `))))
    // Plain ones at the same time too.
    const plain = await home.clock.runUntil(Promise.all(['first', 'other'].map(body => client.send(fetching('/long', body)))))
    expect(await Promise.all(plain.map(answer => answer.text()))).toEqual([long('first cat '), long('other cat ')])
    await home.close()
  })

  test('brings the last state over 30 % loss, with its question and its answer in blocks', { timeout: 30_000 }, async () => {
    const home = await house({ network: { loss: 0.3, duplication: 0.1, reordering: 0.2, delay: [5, 60], seed: 4 } })
    const client = await home.connect()
    const question = 'q'.repeat(3000)
    const seen = collect(client.observe(fetching('/long', question)))
    await home.clock.runUntil(() => seen.texts.length > 0, 24 * 3_600_000)
    for (let i = 1; i <= 30; i++) {
      home.setWords(`words ${i}`)
      await home.clock.advance(300)
    }
    await home.clock.runUntil(() => seen.texts.at(-1) === long(`${question} words 30 `), 24 * 3_600_000)
    await home.close()
  })

  test('answers an Echo with the whole question once more', async () => {
    const home = await house({ coap: { amplification: 3 } })
    const client = await home.connect()
    const seen = collect(client.observe(fetching('/words', 'a'.repeat(2000))))
    await home.clock.runUntil(() => seen.texts.length === 1)
    home.setWords('axe')
    await home.clock.runUntil(() => seen.texts.length === 2)
    expect(seen.texts).toEqual(['ant', 'axe'])
    const sent = home.network.trace.map(({ bytes }) => decode(bytes) as ReceivedMessage)
    // The server offers it with the answer to a block or to the whole, and the next request sends it back.
    const offered = sent.findIndex(({ code, options }) => code >= 64 && options.has(OPTION.ECHO))
    expect(offered).toBeGreaterThan(0)
    expect(sent.slice(offered).some(({ code, options }) => code === CODE.FETCH && options.has(OPTION.ECHO))).toBe(true)
    await home.close()
  })

  test('answers without observing where the bodies of observers take too much', async () => {
    const home = await house({ coap: { limits: { body: 1000 } } })
    const client = await home.connect()
    const stop = new AbortController()
    const watching = Array.from({ length: 16 }, (_, i) => collect(client.observe(fetching('/words', 'a'.repeat(1000), i === 0 ? stop : undefined))))
    await home.clock.runUntil(() => watching.every(({ texts }) => texts.length === 1))
    const late = collect(client.observe(fetching('/words', 'a')))
    await home.clock.runUntil(late.done)
    expect([late.texts, home.app.live]).toEqual([['ant'], 16])
    // With one that has left there is room again.
    stop.abort()
    await home.clock.runUntil(() => home.app.live === 15)
    const next = collect(client.observe(fetching('/words', 'a')))
    await home.clock.runUntil(() => next.texts.length === 1)
    expect(home.app.live).toBe(16)
    await home.close()
  })

  test('refuses to observe with a method that changes something', async () => {
    const home = await house()
    const client = await home.connect()
    const seen = collect(client.observe({ 'iopa.Method': 'POST', 'iopa.Path': '/words', 'iopa.Body': 'a' }))
    await expect(seen.done).rejects.toMatchObject({ status: 501, code: 'not-observable' })
    await home.close()
  })

  test('takes it from a raw peer, cancelled by Observe 1 with the token and by a reset, and not by a PUT with Observe 1', async () => {
    const { app, asked, setWords } = wordsApp({ port: 0 })
    app.put('/other', () => undefined)
    const [listener] = await app.listen()
    const peer = await RawPeer.to(Number(listener!.url.port))
    const ask = (observe: number, token = 'tk') => peer.ask(CODE.FETCH, { path: '/words', token, payload: 'a', options: [[OPTION.OBSERVE, observe]] })
    const first = await ask(0)
    expect([line(first), first.options.uint(OPTION.OBSERVE)]).toEqual(['ACK 2.05 {tk} "ant"', 1])
    setWords('axe')
    const second = await peer.next()
    expect([line(second), second.options.uint(OPTION.OBSERVE)]).toEqual(['CON 2.05 {tk} "axe"', 2])
    peer.acknowledge(second)
    await peer.ask(CODE.PUT, { path: '/other', options: [[OPTION.OBSERVE, 1]] })
    expect(app.live).toBe(1)
    // The same token once more replaces it.
    expect((await ask(0)).options.uint(OPTION.OBSERVE)).toBe(3)
    expect(app.live).toBe(1)
    expect((await ask(1)).options.has(OPTION.OBSERVE)).toBe(false)
    expect(app.live).toBe(0)
    await ask(0, 'new')
    setWords('ale')
    peer.reset(await peer.next())
    await peer.beforePong()
    await eventually(() => app.live === 0, 'the reset has ended it')
    expect(asked.filter(question => question.endsWith('again'))).toHaveLength(2)
    peer.close()
    await app.close({ timeout: 0 })
  })
})

describeWith('coap-client-notls', 'observing with FETCH', () => {
  test.concurrent('tells libcoap of changes, over both transports and for a body in blocks', async () => {
    const { app, setWords } = wordsApp({ port: 0, tcp: true })
    const [listener] = await app.listen()
    // Each has its own port where that of UDP is taken in TCP.
    const { urls } = listener as CoapListener
    const base = (scheme: string): string => urls.find(({ protocol }) => protocol === `${scheme}:`)!.href.replace(/\/$/, '')
    const watch = (scheme: string, body: string) =>
      startClient('coap-client-notls', ['-v', '6', '-B', '6', '-s', '2', '-m', 'fetch', '-t', '0', '-e', body, `${base(scheme)}/words`])
    const clients = [watch('coap', 'a'), watch('coap', 'b'.repeat(3000)), watch('coap+tcp', 'a')]
    await Promise.all(clients.map(client => client.shows(/'(?:ant|bee)'/)))
    setWords('ale bog')
    await Promise.all(clients.map(client => client.shows(/'(?:ale|bog)'/)))
    const runs = await Promise.all(clients.map(client => client.done))
    expect(runs.map(({ received }) => received.filter(({ code }) => code === '2.05').map(({ payload }) => payload))).toEqual([
      ['ant', 'ale'],
      ['bee', 'bog'],
      ['ant', 'ale']
    ])
    await app.close({ timeout: 0 })
  })
})
