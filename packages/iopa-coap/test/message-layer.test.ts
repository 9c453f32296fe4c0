import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { NO_OPTIONS, Options } from '../src/codec/options.ts'
import { type DatagramExchange, DatagramExchanges } from '../src/exchanges/datagram-exchanges.ts'
import type { MessageHandlers } from '../src/messages/layer-parts.ts'
import { MessageLayer } from '../src/messages/message-layer.ts'
import type { MessageLimits } from '../src/messages/parameters.ts'
import { type TransmissionParameters, transmission } from '../src/messages/parameters.ts'
import { datagram, ScriptedChannel, TurnedClock } from './scripted-channel.ts'

const NOTHING = new Uint8Array(0)
const bytesOf = (text: string) => new TextEncoder().encode(text)

/** What a test does with requests and responses. */
interface Handlers {
  request(exchange: DatagramExchange): void
  readonly response: MessageHandlers['response']
}

function setUp(handlers: Partial<Handlers> = {}, limits: Partial<MessageLimits> = {}, parameters: TransmissionParameters = {}) {
  const channel = new ScriptedChannel()
  const clock = new TurnedClock()
  const errors: unknown[] = []
  const exchanges: DatagramExchange[] = []
  const bounds = { peers: 100, inFlight: 1024, inFlightPerPeer: 64, duplicatePeerBytes: 65_536, duplicateBytes: 1 << 24, queue: 1000, ...limits }
  const onError = (error: unknown) => errors.push(error)
  const layer = new MessageLayer({ channel, clock, transmission: transmission(parameters), limits: bounds, onError })
  const { request = exchange => void exchanges.push(exchange), response } = handlers
  const server = new DatagramExchanges(layer, { limits: bounds, handler: { handle: request }, onError })
  layer.open({
    request: (...received) => server.request(...received),
    refusal: message => server.refusal(message),
    response: response ?? (() => server.response()),
    step: () => server.step(),
    get idle() {
      return server.idle
    }
  })
  return { channel, clock, layer, server, errors, exchanges }
}

const answerAtOnce: Partial<Handlers> = { request: exchange => exchange.respond(CODE.CONTENT, NO_OPTIONS, bytesOf('hi')) }

describe('a request', () => {
  test('that is confirmable and answered at once gets a piggybacked response with its id and token', () => {
    const { channel } = setUp(answerAtOnce)
    channel.deliver(datagram({ code: CODE.GET, id: 0x1234 }))
    const [response, ...rest] = channel.take()
    expect(rest).toEqual([])
    expect(response).toMatchObject({ type: TYPE.ACK, code: CODE.CONTENT, id: 0x1234 })
    expect([...response!.token]).toEqual([0xaa, 0xbb])
    expect([...response!.payload]).toEqual([...bytesOf('hi')])
  })

  test('that comes again while its handler is being called is not handled twice', () => {
    let runs = 0
    const { channel } = setUp({
      request: exchange => {
        if (++runs === 1) channel.deliver(datagram({ code: CODE.GET, id: 5 }))
        exchange.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
      }
    })
    channel.deliver(datagram({ code: CODE.GET, id: 5 }))
    expect([runs, channel.take().length]).toEqual([1, 1])
  })

  test('over the limit of all peers together is answered 5.03, until one of the others has been answered', () => {
    const { channel, exchanges } = setUp({}, { inFlight: 2 })
    for (const port of [1, 2, 3]) channel.deliver(datagram({ code: CODE.GET, id: port }), port)
    expect(channel.take()).toMatchObject([{ code: CODE.SERVICE_UNAVAILABLE, id: 3 }])
    expect(exchanges).toHaveLength(2)
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    channel.deliver(datagram({ code: CODE.GET, id: 4 }), 3)
    expect(exchanges).toHaveLength(3)
  })

  test('is another one when only its id was seen before: a device that restarts counts its ids again', () => {
    const { channel, exchanges } = setUp()
    const [aa, ab] = [Uint8Array.of(0xaa, 0xaa), Uint8Array.of(0xaa, 0xab)]
    for (const [type, id] of [
      [TYPE.CON, 5],
      [TYPE.NON, 6]
    ] as const) {
      const before = exchanges.length
      for (const one of [
        { code: CODE.GET, token: aa },
        { code: CODE.GET, token: ab },
        { code: CODE.PUT, token: ab },
        { code: CODE.PUT, token: ab, payload: bytesOf('x') },
        { code: CODE.PUT, token: ab, payload: bytesOf('x') }
      ]) {
        channel.deliver(datagram({ type, id, ...one }))
        exchanges.at(-1)!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
      }
      expect(exchanges.length - before).toBe(4)
    }
  })

  test('that is non-confirmable gets a non-confirmable response with an id of our own', () => {
    const { channel } = setUp(answerAtOnce)
    for (let id = 0; id < 3; id++) channel.deliver(datagram({ type: TYPE.NON, code: CODE.GET, id }))
    const ids = channel.take().map(response => {
      expect(response.type).toBe(TYPE.NON)
      return response.id
    })
    expect(ids[1]).toBe((ids[0]! + 1) & 0xffff)
    expect(ids[2]).toBe((ids[0]! + 2) & 0xffff)
  })

  test('that takes long gets an empty acknowledgement within 100 ms, and then a confirmable response that is repeated until acknowledged', () => {
    const { channel, clock, exchanges } = setUp()
    channel.deliver(datagram({ code: CODE.GET, id: 7 }))
    clock.advance(49)
    expect(channel.take()).toEqual([])
    clock.advance(51)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.EMPTY, id: 7 }])
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, bytesOf('late'))
    const [first] = channel.take()
    expect(first).toMatchObject({ type: TYPE.CON, code: CODE.CONTENT })
    expect([...first!.token]).toEqual([0xaa, 0xbb])
    clock.advance(3100)
    expect(channel.take()).toMatchObject([{ type: TYPE.CON, id: first!.id }])
    channel.deliver(encodeEmpty(TYPE.ACK, first!.id))
    clock.advance(200_000)
    expect(channel.take()).toEqual([])
  })

  test('for a block is answered in the acknowledgement up to a second later, since some clients lose a transfer otherwise', () => {
    const { channel, clock, exchanges } = setUp()
    channel.deliver(datagram({ code: CODE.GET, id: 7, options: new Options().add(OPTION.BLOCK2, 0x12) }))
    clock.advance(900)
    expect(channel.take()).toEqual([])
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.CONTENT, id: 7 }])
    channel.deliver(datagram({ code: CODE.GET, id: 8, options: new Options().add(OPTION.BLOCK2, 0x12) }))
    clock.advance(1200)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.EMPTY, id: 8 }])
  })

  test('that takes long and is non-confirmable gets no empty acknowledgement', () => {
    const { channel, clock, exchanges } = setUp()
    channel.deliver(datagram({ type: TYPE.NON, code: CODE.GET, id: 7 }))
    clock.advance(5000)
    expect(channel.take()).toEqual([])
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    expect(channel.take()).toMatchObject([{ type: TYPE.NON, code: CODE.CONTENT }])
  })

  test('that comes again is handled once and answered with the same bytes', () => {
    let runs = 0
    const { channel, clock } = setUp({
      request: exchange => {
        runs++
        exchange.respond(CODE.CONTENT, NO_OPTIONS, bytesOf(`run ${runs}`))
      }
    })
    const request = datagram({ code: CODE.POST, id: 9 })
    channel.deliver(request)
    clock.advance(40_000)
    channel.deliver(request)
    const [first, second] = channel.sent
    expect([...second!.bytes]).toEqual([...first!.bytes])
    expect(runs).toBe(1)
  })

  test('that comes again while its handler runs is ignored, and afterwards acknowledged again', () => {
    const { channel, clock, exchanges } = setUp()
    const request = datagram({ code: CODE.POST, id: 9 })
    for (let i = 0; i < 3; i++) channel.deliver(request)
    expect(exchanges).toHaveLength(1)
    expect(channel.take()).toEqual([])
    clock.advance(100)
    expect(channel.take()).toHaveLength(1)
    channel.deliver(request)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.EMPTY, id: 9 }])
    exchanges[0]!.respond(CODE.CHANGED, NO_OPTIONS, NOTHING)
    channel.take()
    channel.deliver(request)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.EMPTY, id: 9 }])
    expect(exchanges).toHaveLength(1)
  })

  test('that is non-confirmable and comes again is ignored', () => {
    const { channel } = setUp(answerAtOnce)
    const request = datagram({ type: TYPE.NON, code: CODE.POST, id: 9 })
    for (let i = 0; i < 3; i++) channel.deliver(request)
    expect(channel.take()).toHaveLength(1)
  })

  test('with a used id is a new one after the lifetime of the exchange, or from another port', () => {
    let runs = 0
    const { channel, clock } = setUp({
      request: exchange => {
        runs++
        exchange.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
      }
    })
    const request = datagram({ code: CODE.GET, id: 9 })
    channel.deliver(request)
    channel.deliver(request, 40_001)
    expect(runs).toBe(2)
    clock.advance(240_000)
    channel.deliver(request)
    expect(runs).toBe(2)
    clock.advance(249_000)
    channel.deliver(request)
    expect(runs).toBe(3)
  })

  test('whose handler throws is answered 5.00 without a word of the error', () => {
    const { channel, errors } = setUp({
      request: () => {
        throw new Error('secret')
      }
    })
    channel.deliver(datagram({ code: CODE.GET }))
    const [response] = channel.take()
    expect(response).toMatchObject({ type: TYPE.ACK, code: CODE.INTERNAL_SERVER_ERROR })
    expect(response!.payload).toHaveLength(0)
    expect(errors).toHaveLength(1)
  })

  test('over the limit of its peer is answered 5.03 with Max-Age, and not handled', () => {
    const { channel, exchanges, server } = setUp({}, { inFlightPerPeer: 2 })
    for (let id = 0; id < 4; id++) channel.deliver(datagram({ code: CODE.GET, id }))
    expect(exchanges).toHaveLength(2)
    const refused = channel.take()
    expect(refused).toMatchObject([{ code: CODE.SERVICE_UNAVAILABLE }, { code: CODE.SERVICE_UNAVAILABLE }])
    expect(refused[0]!.options.uint(OPTION.MAX_AGE)).toBe(2)
    for (const exchange of exchanges) exchange.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    expect(server.inFlight).toBe(0)
  })

  test('without a response is acknowledged all the same when it is confirmable', () => {
    const { channel } = setUp({ request: exchange => exchange.suppress() })
    channel.deliver(datagram({ code: CODE.PUT, id: 3 }))
    channel.deliver(datagram({ type: TYPE.NON, code: CODE.PUT, id: 4 }))
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, code: CODE.EMPTY, id: 3 }])
  })
})

describe('what is no request', () => {
  test('is reset when it is confirmable: a ping, a reserved class, a format error, a response that nobody waits for', () => {
    const { channel } = setUp()
    channel.deliver(Uint8Array.of(0x40, 0x00, 0x12, 0x34))
    expect([...channel.sent[0]!.bytes]).toEqual([0x70, 0x00, 0x12, 0x34])
    channel.take()
    const cases = [
      [0x40, 0x21, 0, 1],
      [0x40, 0xe1, 0, 1],
      [0x4f, 0x01, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0x42, 0x01, 0, 1, 1],
      [0x40, 0x00, 0, 1, 5],
      [0x40, 0x01, 0, 1, 0xff],
      [0x40, 0x01, 0, 1, 0xb5, 0x61],
      [0x40, 0x01, 0, 1, 0xf0],
      [0x40, 0x45, 0, 1]
    ]
    for (const bytes of cases) channel.deliver(Uint8Array.from(bytes))
    expect(channel.take()).toMatchObject(cases.map(() => ({ type: TYPE.RST, code: CODE.EMPTY, id: 1 })))
  })

  test('is ignored when it is malformed and not confirmable, of another version, or too short', () => {
    const { channel, errors } = setUp()
    for (const bytes of [
      [],
      [0x40],
      [0x40, 1, 0],
      [0x80, 1, 0, 1],
      [0x00, 1, 0, 1],
      [0x50, 0, 0, 1],
      [0x59, 1, 0, 1],
      [0x6f, 69, 0, 1],
      [0x7f, 0, 0, 1],
      [0x60, 1, 0, 1],
      [0x70, 69, 0, 1],
      [0x60, 0, 0, 9]
    ])
      channel.deliver(Uint8Array.from(bytes))
    expect(channel.sent).toEqual([])
    expect(errors).toEqual([])
  })

  test('is ignored when it claims to come from port 0', () => {
    const { channel, exchanges } = setUp()
    channel.deliver(datagram({ code: CODE.GET }), 0)
    channel.deliver(Uint8Array.of(0x40, 0x00, 0x12, 0x34), 0)
    expect(exchanges).toEqual([])
    expect(channel.sent).toEqual([])
  })

  test('never throws out of the channel, even when nothing can be sent', () => {
    const { channel, errors } = setUp(answerAtOnce)
    channel.failure = new Error('EHOSTUNREACH')
    channel.deliver(datagram({ code: CODE.GET }))
    channel.deliver(Uint8Array.of(0x40, 0x00, 0x12, 0x34))
    expect(errors).toHaveLength(2)
  })
})

describe('a confirmable message of ours', () => {
  const outgoing = () => encode({ type: TYPE.CON, code: CODE.GET, id: 0, token: Uint8Array.of(1), options: NO_OPTIONS, payload: NOTHING })
  const listener = () => {
    const events: string[] = []
    return {
      events,
      acknowledged: () => {
        events.push('acknowledged')
        return true
      },
      reset: () => void events.push('reset'),
      expired: () => void events.push('expired')
    }
  }

  test('is sent five times at doubling distance with jitter, and then given up', () => {
    const firstWaits = new Set<number>()
    for (let run = 0; run < 20; run++) {
      const { channel, clock, layer } = setUp()
      const told = listener()
      layer.sendConfirmable(layer.peer('127.0.0.1', 40_000)!, outgoing(), told)
      const times: number[] = []
      for (let at = 0; at <= 94_000; at += 50) {
        if (channel.take().length > 0) times.push(at)
        clock.advance(50)
      }
      expect(times).toHaveLength(5)
      const waits = times.slice(1).map((time, i) => time - times[i]!)
      expect(waits[0]).toBeGreaterThanOrEqual(2000)
      expect(waits[0]).toBeLessThanOrEqual(3100)
      for (let i = 1; i < waits.length; i++) expect(waits[i]! / waits[i - 1]!).toBeCloseTo(2, 1)
      expect(told.events).toEqual(['expired'])
      firstWaits.add(waits[0]!)
    }
    expect(firstWaits.size).toBeGreaterThan(3)
  })

  test('is sent again in time although the clock was set back', () => {
    const { channel, clock, layer } = setUp()
    layer.sendConfirmable(layer.peer('127.0.0.1', 40_000)!, outgoing(), listener())
    clock.advance(500)
    clock.setBack(3_600_000)
    channel.take()
    clock.advance(3200)
    expect(channel.take()).toHaveLength(1)
  })

  test('waits for the acknowledgement of the one before it, for each peer by itself', () => {
    const { channel, clock, layer } = setUp()
    const told = [listener(), listener(), listener()]
    const one = layer.peer('127.0.0.1', 40_000)!
    const other = layer.peer('127.0.0.1', 40_001)!
    layer.sendConfirmable(one, outgoing(), told[0]!)
    layer.sendConfirmable(one, outgoing(), told[1]!)
    layer.sendConfirmable(other, outgoing(), told[2]!)
    const [first, elsewhere, ...rest] = channel.take()
    expect(rest).toEqual([])
    channel.deliver(encodeEmpty(TYPE.ACK, first!.id), 40_001)
    expect(channel.take().filter(() => elsewhere!.id !== first!.id)).toEqual([])
    channel.deliver(encodeEmpty(TYPE.ACK, first!.id), 40_000)
    expect(channel.take()).toMatchObject([{ id: (first!.id + 1) & 0xffff }])
    expect(told[0]!.events).toEqual(['acknowledged'])
    expect(told[1]!.events).toEqual([])
    clock.advance(1)
  })

  test('ends on a reset', () => {
    const { channel, clock, layer } = setUp()
    const told = listener()
    layer.sendConfirmable(layer.peer('127.0.0.1', 40_000)!, outgoing(), told)
    channel.deliver(encodeEmpty(TYPE.RST, channel.take()[0]!.id))
    clock.advance(100_000)
    expect(told.events).toEqual(['reset'])
    expect(channel.take()).toEqual([])
  })

  test('goes on when what comes back with its id is no answer: a reset with a code, an acknowledgement with the code of a request', () => {
    const { channel, clock, layer } = setUp()
    const told = listener()
    layer.sendConfirmable(layer.peer('127.0.0.1', 40_000)!, outgoing(), told)
    const { id } = channel.take()[0]!
    for (const [type, code] of [
      [TYPE.RST, CODE.CONTENT],
      [TYPE.ACK, CODE.GET],
      [TYPE.ACK, CODE.CSM]
    ] as const)
      channel.deliver(datagram({ type, code, id }))
    clock.advance(3100)
    expect([told.events, channel.take()]).toMatchObject([[], [{ id }]])
  })

  test('is never sent when it was given up while it waited for its turn', () => {
    const { channel, clock, layer } = setUp()
    const peer = layer.peer('127.0.0.1', 40_000)!
    const told = [listener(), listener(), listener()]
    const sent = told.map(one => layer.sendConfirmable(peer, outgoing(), one)!)
    layer.cancel(sent[1]!)
    const [first] = channel.take()
    channel.deliver(encodeEmpty(TYPE.ACK, first!.id))
    const [second] = channel.take()
    channel.deliver(encodeEmpty(TYPE.ACK, second!.id))
    clock.advance(100_000)
    expect(channel.take()).toEqual([])
    expect(told.map(({ events }) => events)).toEqual([['acknowledged'], [], ['acknowledged']])
  })

  test('is refused beyond those that may wait, except where its bytes are made when its turn comes', () => {
    const { channel, layer } = setUp({}, { queue: 2 })
    const peer = layer.peer('127.0.0.1', 40_000)!
    const sent = Array.from({ length: 4 }, () => layer.sendConfirmable(peer, outgoing(), listener()) !== undefined)
    expect(sent).toEqual([true, true, true, false])
    const made: string[] = []
    const making = { ...listener(), renewal: () => (made.push('made'), outgoing()) }
    expect(layer.sendConfirmable(peer, undefined, making)).toBeDefined()
    expect(made).toEqual([])
    for (let i = 0; i < 3; i++) channel.deliver(encodeEmpty(TYPE.ACK, channel.take()[0]!.id))
    expect([made, channel.take().length]).toEqual([['made'], 1])
  })

  test('takes newer bytes under a new id when it is repeated, without starting its patience again', () => {
    const { channel, clock, layer } = setUp()
    let version = 0
    const told = {
      ...listener(),
      renewal: () =>
        version++ === 0
          ? encode({ type: TYPE.CON, code: CODE.CONTENT, id: 0, token: Uint8Array.of(1), options: NO_OPTIONS, payload: bytesOf('new') })
          : undefined
    }
    layer.sendConfirmable(layer.peer('127.0.0.1', 40_000)!, outgoing(), told)
    const [first] = channel.take()
    clock.advance(3100)
    const [second] = channel.take()
    expect(second!.id).not.toBe(first!.id)
    expect(new TextDecoder().decode(second!.payload)).toBe('new')
    channel.deliver(encodeEmpty(TYPE.ACK, first!.id))
    expect(told.events).toEqual([])
    clock.advance(100_000)
    expect(channel.take()).toHaveLength(3)
    expect(told.events).toEqual(['expired'])
  })

  test('settles its listener when the layer closes, queued ones included', () => {
    const { clock, layer } = setUp()
    const told = [listener(), listener()]
    const peer = layer.peer('127.0.0.1', 40_000)!
    for (const one of told) layer.sendConfirmable(peer, outgoing(), one)
    layer.close()
    expect(told.map(one => one.events)).toEqual([['expired'], ['expired']])
    expect(clock.timers).toBe(0)
    expect(layer.sendConfirmable(peer, outgoing(), told[0]!)).toBeUndefined()
  })
})

describe('a response in a message of its own', () => {
  test('is acknowledged once it was taken, and again when it comes again, without being handed on twice', () => {
    let taken = 0
    const { channel, layer } = setUp({ response: () => taken++ === 0 })
    layer.peer('127.0.0.1', 40_000)
    const response = datagram({ code: CODE.CONTENT, id: 77 })
    channel.deliver(response)
    channel.deliver(response)
    expect(channel.take()).toMatchObject([
      { type: TYPE.ACK, code: CODE.EMPTY, id: 77 },
      { type: TYPE.ACK, code: CODE.EMPTY, id: 77 }
    ])
    expect(taken).toBe(1)
  })

  test('is reset when nobody waits for it, whatever its type', () => {
    const { channel, layer } = setUp()
    layer.peer('127.0.0.1', 40_000)
    channel.deliver(datagram({ code: CODE.CONTENT, id: 77 }))
    channel.deliver(datagram({ type: TYPE.NON, code: CODE.CONTENT, id: 78 }))
    expect(channel.take()).toMatchObject([
      { type: TYPE.RST, id: 77 },
      { type: TYPE.RST, id: 78 }
    ])
  })
})

describe('the memory of peers', () => {
  test('is given back after the lifetime of an exchange, and then no timer runs', () => {
    const { channel, clock, layer } = setUp(answerAtOnce)
    for (let port = 1000; port < 1050; port++) channel.deliver(datagram({ code: CODE.GET }), port)
    expect(layer.peers.size).toBe(50)
    clock.advance(270_000)
    expect(layer.peers.size).toBe(0)
    expect(clock.timers).toBe(0)
  })

  test('is bounded: the one that was silent for longest makes room, a busy one does not', () => {
    const { channel, clock, layer, exchanges } = setUp({}, { peers: 10 })
    channel.deliver(datagram({ code: CODE.GET }), 1)
    for (let port = 2; port < 200; port++) {
      channel.deliver(datagram({ code: CODE.GET }), port)
      exchanges.at(-1)!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
      clock.advance(10)
    }
    expect(layer.peers.size).toBe(10)
    expect(exchanges).toHaveLength(199)
    channel.take()
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    expect(channel.sent[0]!.port).toBe(1)
  })

  test('answers 5.03 to a newcomer when everybody is busy', () => {
    const { channel, exchanges } = setUp({}, { peers: 3 })
    for (let port = 1; port <= 4; port++) channel.deliver(datagram({ code: CODE.GET, id: port }), port)
    expect(exchanges).toHaveLength(3)
    expect(channel.take()).toMatchObject([{ type: TYPE.ACK, id: 4, code: CODE.SERVICE_UNAVAILABLE }])
  })

  test('stays flat over many lifetimes of steady load', () => {
    const { channel, clock, layer } = setUp(answerAtOnce, { duplicateBytes: 64 * 1024 })
    const request = datagram({ code: CODE.GET })
    for (let minute = 0; minute < 60; minute++) {
      for (let n = 0; n < 500; n++) {
        request[2] = (minute * 500 + n) >> 8
        request[3] = (minute * 500 + n) & 255
        channel.deliver(request.slice(), 2000 + (n % 40))
      }
      channel.sent = []
      clock.advance(60_000)
    }
    expect(layer.peers.size).toBe(40)
    clock.advance(300_000)
    expect(layer.peers.size).toBe(0)
  })
})

describe('draining', () => {
  test('ends when requests are answered and confirmable messages are settled', async () => {
    const { channel, clock, layer, exchanges } = setUp()
    channel.deliver(datagram({ code: CODE.GET, id: 5 }))
    clock.advance(100)
    let drained = false
    const done = layer.drained().then(() => {
      drained = true
    })
    exchanges[0]!.respond(CODE.CONTENT, NO_OPTIONS, NOTHING)
    await Promise.resolve()
    expect(drained).toBe(false)
    channel.deliver(encodeEmpty(TYPE.ACK, channel.take().at(-1)!.id))
    await done
    expect(drained).toBe(true)
  })
})
