import { App, type ReceivedAnswer } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { type PacketRecord, seededRandom } from '@iopa/testing'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type Message, type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { rawRequest } from './raw-peer.ts'
import { CLIENT, SERVER, virtualHome } from './virtual-home.ts'

const HARSH = { loss: 0.3, duplication: 0.1, reordering: 0.2, delay: [5, 60] as const }
// Thirty percent lost each way leaves an exchange 49 of 100 chances: with the four retransmissions of the default some must fail.
const STUBBORN = { ackTimeout: 200, maxRetransmit: 16 }

// Jitter and message ids are the only chance that is not the network's: with them seeded too, every run is the same.
beforeEach(() => {
  vi.spyOn(Math, 'random').mockImplementation(seededRandom(42))
})
afterEach(() => {
  vi.restoreAllMocks()
})

const messageOf = ({ bytes }: PacketRecord): ReceivedMessage => decode(bytes) as ReceivedMessage
const textOf = async (answer: ReceivedAnswer): Promise<string> => Buffer.from(await answer.bytes()).toString()

describe('on a scripted network', () => {
  test('answers 300 requests over 30 % loss, and runs each handler exactly once', { timeout: 60_000 }, async () => {
    const home = await virtualHome({ network: { ...HARSH, seed: 7 }, coap: { transmission: STUBBORN }, client: { transmission: STUBBORN } })
    const clients = await Promise.all(Array.from({ length: 10 }, () => home.connect()))
    const answers: string[] = []
    const work = clients.map(async (client, c) => {
      for (let i = 0; i < 30; i++) answers.push(await textOf(await client.post(`/count/${c * 30 + i}`, 'x')))
    })
    await home.clock.runUntil(Promise.all(work), 30 * 24 * 3_600_000)
    expect(answers.sort()).toEqual(Array.from({ length: 300 }, (_, i) => `counted ${i}`).sort())
    expect(home.handled.size).toBe(300)
    expect([...home.handled.values()].every(times => times === 1)).toBe(true)
    expect(home.network.trace.filter(({ fate }) => fate === 'lost').length).toBeGreaterThan(150)
    expect(home.app.live).toBe(0)
    await home.close()
  })

  test('answers late over loss too, each handler once', async () => {
    const home = await virtualHome({ network: { ...HARSH, seed: 11 }, coap: { transmission: STUBBORN }, client: { transmission: STUBBORN } })
    // An answer may be lost for longer than the 30 seconds that a client waits of itself.
    const clients = await Promise.all(Array.from({ length: 5 }, () => home.connect({ timeout: 24 * 3_600_000 })))
    const answers: string[] = []
    const work = clients.map(async (client, c) => {
      for (let i = 0; i < 10; i++) answers.push(await textOf(await client.get(`/late/${c * 10 + i}`)))
    })
    await home.clock.runUntil(Promise.all(work), 30 * 24 * 3_600_000)
    expect(new Set(answers).size).toBe(50)
    expect([...home.handled.values()].every(times => times === 1)).toBe(true)
    await home.close()
  })

  test('carries bodies in blocks both ways over loss, doubles and reordering', { timeout: 30_000 }, async () => {
    const home = await virtualHome({ network: { ...HARSH, seed: 3 }, coap: { transmission: STUBBORN }, client: { transmission: STUBBORN } })
    const client = await home.connect()
    const body = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 7) % 251)
    const put = await home.clock.runUntil(client.put('/body/1', body), 30 * 24 * 3_600_000)
    expect(put.status).toBe(204)
    expect(home.handled.get('/body/1')).toBe(1)
    const got = await home.clock.runUntil(client.get('/body/1'), 30 * 24 * 3_600_000)
    expect(Buffer.from(await got.bytes()).equals(body)).toBe(true)
    await home.close()
  })

  test('marks the blocks of one body with one Request-Tag, and those of the next with another', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/1', new Uint8Array(3000)))
    await home.clock.runUntil(client.put('/body/1', new Uint8Array(3000)))
    const tags = home.network.trace
      .filter(({ to }) => to.address === SERVER)
      .map(packet => {
        const { options } = messageOf(packet)
        return [options.uint(OPTION.BLOCK1)! >> 4, Buffer.from(options.get(OPTION.REQUEST_TAG) ?? []).toString('hex')] as const
      })
    expect(tags.map(([num]) => num)).toEqual([0, 1, 2, 0, 1, 2])
    const [first, second, third, fourth, fifth, sixth] = tags.map(([, tag]) => tag)
    expect([first, second, third]).toEqual([first, first, first])
    expect([fourth, fifth, sixth]).toEqual([fourth, fourth, fourth])
    expect(first).not.toBe('')
    expect(first).not.toBe(fourth)
    await home.close()
  })

  test('fetches a body again when its ETag changes between two blocks', async () => {
    const home = await virtualHome()
    const app = new App({ logger: false, clock: home.clock }).use(coap({ clock: home.clock, network: home.network.machine(CLIENT) }))
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 5683 })
    let asked = 0
    channel.open({
      message: (bytes, address, port) => {
        const { id, token, options } = decode(bytes) as ReceivedMessage
        const num = (options.uint(OPTION.BLOCK2) ?? 0) >> 4
        const version = ++asked <= 2 ? 'a' : 'b'
        const answer: Message = {
          type: TYPE.ACK,
          code: CODE.CONTENT,
          id,
          token,
          options: new Options().add(OPTION.ETAG, version).add(OPTION.BLOCK2, (num << 4) | (num < 3 ? 8 : 0)),
          payload: Buffer.from(version.repeat(16))
        }
        channel.send(encode(answer), port, address)
      },
      error: () => {}
    })
    const client = await home.clock.runUntil(app.connect('coap://10.0.0.7'))
    expect(await textOf(await home.clock.runUntil(client.get('/large')))).toBe('b'.repeat(64))
    await home.clock.runUntil(app.close())
    await home.close()
  })

  test('retransmits after 2 to 3 seconds, then twice as long each time, five transmissions in all, and gives up in words', async () => {
    const home = await virtualHome({ network: { script: ({ to }) => (to.address === SERVER ? 'drop' : 'pass') } })
    const client = await home.connect()
    const request = client.post('/count/1', 'x', {})
    request.catch(() => {})
    const failed = await home.clock.runUntil(
      request.then(
        () => undefined,
        (error: { status: number; code: string }) => error
      )
    )
    expect(failed).toMatchObject({ status: 504, code: 'timeout' })
    const times = home.network.trace.map(({ time }) => time)
    const waits = times.slice(1).map((time, i) => time - times[i]!)
    expect(waits[0]).toBeGreaterThanOrEqual(2000)
    expect(waits[0]).toBeLessThanOrEqual(3100)
    // The coarse tick may round each wait up by a little.
    for (let i = 1; i < waits.length; i++) expect(Math.abs(waits[i]! - 2 * waits[i - 1]!)).toBeLessThanOrEqual(200)
    expect(new Set(home.network.trace.map(packet => messageOf(packet).id)).size).toBe(1)
    expect(home.clock.pending).toBeLessThan(10)
    await home.close()
  })

  test('stops retransmitting at the acknowledgement, and waits for the answer', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    expect(await textOf(await home.clock.runUntil(client.get('/late/1')))).toBe('late 1')
    expect(home.network.trace.map(packet => [packet.to.address, messageOf(packet).type])).toEqual([
      [SERVER, TYPE.CON],
      [CLIENT, TYPE.ACK],
      [CLIENT, TYPE.CON],
      [SERVER, TYPE.ACK]
    ])
    await home.close()
  })

  test('acknowledges a late answer again when it is repeated', async () => {
    const home = await virtualHome({
      network: {
        script: packet =>
          packet.to.address === SERVER && (decode(packet.bytes) as ReceivedMessage).code === CODE.EMPTY && packet.number < 6 ? 'drop' : undefined
      }
    })
    const client = await home.connect()
    expect(await textOf(await home.clock.runUntil(client.get('/late/1')))).toBe('late 1')
    await home.clock.advance(20_000)
    const answers = home.network.trace.filter(packet => messageOf(packet).code === CODE.CONTENT)
    const acknowledgements = home.network.trace.filter(packet => packet.to.address === SERVER && messageOf(packet).type === TYPE.ACK)
    expect(answers.length).toBe(2)
    expect(acknowledgements.length).toBe(2)
    expect(new Set(answers.map(packet => messageOf(packet).id)).size).toBe(1)
    await home.close()
  })

  test('runs a handler once when every datagram comes three times', async () => {
    const home = await virtualHome({ network: { script: () => [1, 2, 500] } })
    const client = await home.connect()
    for (let i = 0; i < 20; i++) expect(await textOf(await home.clock.runUntil(client.post(`/count/${i}`, 'x')))).toBe(`counted ${i}`)
    await home.clock.advance(5000)
    expect([...home.handled.values()]).toEqual(Array.from({ length: 20 }, () => 1))
    await home.close()
  })

  test('has one confirmable message outstanding for each peer (NSTART)', async () => {
    const home = await virtualHome({ network: { delay: 100 } })
    const client = await home.connect()
    const all = Promise.all(Array.from({ length: 10 }, (_, i) => client.post(`/count/${i}`, 'x')))
    await home.clock.runUntil(all)
    const log = home.network.trace.map(packet => ({ toServer: packet.to.address === SERVER, time: packet.time }))
    let outstanding = 0
    for (const { toServer } of log) {
      outstanding += toServer ? 1 : -1
      expect(outstanding).toBeLessThanOrEqual(1)
    }
    await home.close()
  })

  test('takes an answer only from where the request went', async () => {
    const home = await virtualHome({ network: { delay: 50 } })
    const client = await home.connect()
    const request = client.post('/count/1', 'x')
    await home.clock.advance(10)
    const sent = home.network.trace[0]!
    const forged: Message = {
      type: TYPE.ACK,
      code: CODE.CHANGED,
      id: messageOf(sent).id,
      token: messageOf(sent).token,
      options: new Options(),
      payload: Buffer.from('forged')
    }
    home.network.inject(encode(forged), { address: '10.0.0.66', port: 5683 }, sent.from)
    home.network.inject(encode(forged), { address: SERVER, port: 5684 }, sent.from)
    home.network.inject(encode({ ...forged, token: Buffer.from('wrong') }), { address: SERVER, port: 5683 }, sent.from)
    expect(await textOf(await home.clock.runUntil(request))).toBe('counted 1')
    await home.close()
  })

  test('does nothing for a datagram from port 0', async () => {
    const home = await virtualHome()
    home.network.inject(rawRequest(CODE.POST, { path: '/count/1' }), { address: CLIENT, port: 0 }, { address: SERVER, port: 5683 })
    await home.clock.advance(1000)
    expect(home.handled.size).toBe(0)
    expect(home.network.trace).toHaveLength(1)
    await home.close()
  })

  test('reads 2.03 as 304, with the ETag that is still good', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const first = await home.clock.runUntil(client.get('/tagged'))
    expect([first.status, first.headers.get('etag')]).toEqual([200, '"v1"'])
    const second = await home.clock.runUntil(client.get('/tagged', { headers: { 'if-none-match': '"v1"' } }))
    expect([second.status, second.headers.get('etag'), (await second.bytes()).length]).toEqual([304, '"v1"', 0])
    expect(messageOf(home.network.trace.at(-1)!).code).toBe(CODE.VALID)
    await home.close()
  })

  test('rejects a request whose signal aborts, and forgets it', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const abort = new AbortController()
    const request = client.get('/late/1', { signal: abort.signal })
    const failed = request.then(
      () => 'answered',
      () => 'rejected'
    )
    await home.clock.advance(500)
    abort.abort()
    expect(await home.clock.runUntil(failed)).toBe('rejected')
    await home.clock.advance(300_000)
    await home.close()
    expect(home.app.live).toBe(0)
  })
})

describe('observation on a scripted network', () => {
  const collect = (answers: AsyncIterable<ReceivedAnswer>): { texts: string[]; done: Promise<void> } => {
    const texts: string[] = []
    const done = (async () => {
      for await (const answer of answers) texts.push(await textOf(answer))
    })()
    done.catch(() => {})
    return { texts, done }
  }

  test('brings the last state to the observer over 30 % loss, in order', async () => {
    const home = await virtualHome({
      network: { ...HARSH, seed: 5 },
      coap: { transmission: { ackTimeout: 200, maxRetransmit: 10 } },
      client: { transmission: STUBBORN }
    })
    const client = await home.connect()
    const abort = new AbortController()
    const { texts, done } = collect(client.observe('/state', { signal: abort.signal }))
    await home.clock.runUntil(() => texts.length > 0, 24 * 3_600_000)
    for (let i = 1; i <= 200; i++) {
      home.setState(`state ${i}`)
      await home.clock.advance(100)
    }
    await home.clock.runUntil(() => texts.at(-1) === 'state 200', 3_600_000)
    const numbers = texts.map(text => Number(text.slice(6)))
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(new Set(numbers).size).toBe(numbers.length)
    abort.abort()
    await home.clock.runUntil(done)
    await home.clock.advance(300_000)
    expect(home.app.live).toBe(0)
    await home.close()
  })

  test('drops a notification that was overtaken (RFC 7641 section 3.4)', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const { texts } = collect(client.observe('/state'))
    await home.clock.runUntil(() => texts.length === 1)
    home.setState('state 1')
    await home.clock.runUntil(() => texts.length === 2)
    const [first, second] = home.network.trace.filter(packet => packet.to.address === CLIENT).map(packet => ({ packet, message: messageOf(packet) }))
    const stale: Message = {
      type: TYPE.NON,
      code: CODE.CONTENT,
      id: 60_000,
      token: second!.message.token,
      options: new Options().add(OPTION.OBSERVE, first!.message.options.uint(OPTION.OBSERVE)!),
      payload: Buffer.from('stale')
    }
    home.network.inject(encode(stale), { address: SERVER, port: 5683 }, second!.packet.to)
    home.setState('state 2')
    await home.clock.runUntil(() => texts.includes('state 2'))
    expect(texts).toEqual(['state 0', 'state 1', 'state 2'])
    // After 128 seconds any number is new.
    await home.clock.advance(129_000)
    home.network.inject(encode({ ...stale, id: 60_001, payload: Buffer.from('late') }), { address: SERVER, port: 5683 }, second!.packet.to)
    await home.clock.advance(1000)
    expect(texts.at(-1)).toBe('late')
    await home.close()
  })

  test('OBS_04: registers again after Max-Age when the server has forgotten', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const { texts } = collect(client.observe('/aging'))
    await home.clock.runUntil(() => texts.length === 1)
    const registrations = () =>
      home.network.trace.filter(packet => packet.to.address === SERVER && messageOf(packet).options.uint(OPTION.OBSERVE) === 0).length
    expect(registrations()).toBe(1)
    await home.clock.advance(60_000)
    expect(registrations()).toBeGreaterThan(1)
    expect(home.handled.get('/aging')).toBeGreaterThan(1)
    await home.close()
  })

  test('tells each of many observers at one endpoint of the newest state when its turn comes, one confirmable message at a time', async () => {
    // More observers than confirmable messages may wait: each of them is still notified.
    const home = await virtualHome({ network: { delay: 20 }, coap: { limits: { queueMessages: 4 } } })
    const client = await home.connect()
    const seen = Array.from({ length: 25 }, (_, i) => collect(client.observe(`/state?${i}`)))
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 1))
    const from = home.network.trace.length
    home.setState('state 1')
    await home.clock.advance(200)
    home.setState('state 2')
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.at(-1) === 'state 2'))
    let outstanding = 0
    for (const packet of home.network.trace.slice(from)) {
      const { type } = messageOf(packet)
      if (packet.to.address === CLIENT && type === TYPE.CON) outstanding++
      if (packet.to.address === SERVER && type === TYPE.ACK) outstanding--
      expect(outstanding).toBeLessThanOrEqual(1)
    }
    // Those whose turn came after the second change were never told of the first.
    const skipped = seen.filter(({ texts }) => texts.length === 2).length
    expect(skipped).toBeGreaterThan(15)
    expect(skipped).toBeLessThan(25)
    await home.close()
  })

  test('asks a non-confirmable observer to confirm after a day, however few notifications there were', async () => {
    const home = await virtualHome()
    const peer = await home.network.machine(CLIENT).bind({ host: CLIENT, port: 0 })
    const inbox: ReceivedMessage[] = []
    peer.open({ message: bytes => void inbox.push(decode(bytes) as ReceivedMessage), error: () => {} })
    peer.send(rawRequest(CODE.GET, { type: TYPE.NON, path: '/state', options: [[OPTION.OBSERVE, 0]] }), 5683, SERVER)
    await home.clock.runUntil(() => inbox.length === 1)
    const told = async (state: string): Promise<number> => {
      const before = inbox.length
      home.setState(state)
      await home.clock.runUntil(() => inbox.length > before)
      return inbox.at(-1)!.type
    }
    expect(await told('state 1')).toBe(TYPE.NON)
    await home.clock.advance(23 * 3_600_000)
    expect(await told('state 2')).toBe(TYPE.NON)
    await home.clock.advance(2 * 3_600_000)
    expect(await told('state 3')).toBe(TYPE.CON)
    peer.send(encodeEmpty(TYPE.ACK, inbox.at(-1)!.id), 5683, SERVER)
    await home.clock.advance(1000)
    expect(await told('state 4')).toBe(TYPE.NON)
    await peer.close()
    await home.close()
  })

  test('repeats a notification of a state that has not changed as it was, under the same id', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const { texts } = collect(client.observe('/state'))
    await home.clock.runUntil(() => texts.length === 1)
    const from = home.network.trace.length
    let lost = 0
    home.network.script = ({ to }) => (to.address === SERVER && lost++ < 2 ? 'drop' : undefined)
    home.setState('state 1')
    await home.clock.advance(30_000)
    const sent = home.network.trace.slice(from).filter(({ to }) => to.address === CLIENT)
    expect(sent).toHaveLength(3)
    for (const { bytes } of sent) expect(bytes).toEqual(sent[0]!.bytes)
    expect(texts).toEqual(['state 0', 'state 1'])
    await home.close()
  })

  test('has nothing in work for registrations that were cancelled before their first answer', async () => {
    const home = await virtualHome({ coap: { limits: { inFlightPerConnection: 4 } } })
    const peer = await home.network.machine(CLIENT).bind({ host: CLIENT, port: 0 })
    const inbox: ReceivedMessage[] = []
    peer.open({ message: bytes => void inbox.push(decode(bytes) as ReceivedMessage), error: () => {} })
    const ask = async (path: string, observe: number): Promise<void> => {
      peer.send(rawRequest(CODE.GET, { type: TYPE.NON, path, options: [[OPTION.OBSERVE, observe]] }), 5683, SERVER)
      await home.clock.advance(10)
    }
    for (let i = 0; i < 10; i++) {
      await ask(`/late/${i}`, 0)
      await ask('/state', 1)
    }
    expect(inbox.map(({ code }) => code)).toEqual(Array(10).fill(CODE.CONTENT))
    await home.clock.advance(10_000)
    // What they would have been answered is not said to anybody.
    expect([inbox.length, home.app.live]).toEqual([10, 0])
    await peer.close()
    await home.close()
  })

  test('does not observe the list of resources, which nobody tells of', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const { texts, done } = collect(client.observe('/.well-known/core'))
    await home.clock.runUntil(done)
    expect([texts.length, home.app.live]).toEqual([1, 0])
    await home.close()
  })

  test('stops fetching the rest of a notification when a newer one has come', async () => {
    const home = await virtualHome({ network: { delay: 50 } })
    const client = await home.connect()
    const { texts } = collect(client.observe('/long-state'))
    await home.clock.runUntil(() => texts.length === 1)
    const blocks = () =>
      home.network.trace.filter(packet => packet.to.address === SERVER && (messageOf(packet).options.uint(OPTION.BLOCK2) ?? 0) > 15).length
    const before = blocks()
    for (let i = 0; i < 10; i++) {
      home.app.notify('/long-state')
      await home.clock.advance(300)
    }
    await home.clock.advance(5000)
    // Of the nine that were overtaken two or three blocks each, and the last one whole; not ten times nineteen.
    expect(blocks() - before).toBeLessThan(60)
    expect(blocks() - before).toBeGreaterThan(19)
    await home.close()
  })

  test('takes a peer that acknowledges nothing for gone, with all that it observes', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const seen = ['/state', '/state?a', '/state?b'].map(path => collect(client.observe(path)))
    await home.clock.runUntil(() => seen.every(({ texts }) => texts.length === 1))
    expect(home.app.live).toBe(3)
    home.network.script = ({ to }) => (to.address === CLIENT ? 'drop' : undefined)
    home.setState('state 1')
    // The time for one confirmable message, not for three.
    await home.clock.advance(100_000)
    expect(home.app.live).toBe(0)
    await home.close()
  })

  test('forgets an observer that no longer acknowledges', async () => {
    const home = await virtualHome()
    const client = await home.connect()
    const { texts } = collect(client.observe('/state'))
    await home.clock.runUntil(() => texts.length === 1)
    expect(home.app.live).toBe(1)
    home.network.script = ({ to }) => (to.address === CLIENT ? 'drop' : undefined)
    home.setState('state 1')
    await home.clock.advance(120_000)
    expect(home.app.live).toBe(0)
    const before = home.network.trace.length
    home.setState('state 2')
    await home.clock.advance(10_000)
    expect(home.network.trace.length).toBe(before)
    await home.close()
  })
})
