// Requests to multicast groups: answers collected, links discovered, Shelly's CoIoT received.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { App, type Client } from '@iopa/appbuilder'
import { type CoapOptions, coap, collect, discover } from '@iopa/coap'
import { router } from '@iopa/router'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options, type OptionValue } from '../src/codec/options.ts'

const GROUP = '224.0.1.187'

/** Members of the group, and a client of it. */
const group = async (members = 3, client: CoapOptions = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock })
  const apps: App[] = []
  const switched: string[] = []
  for (let i = 1; i <= members; i++) {
    const host = `10.0.1.${i}`
    const app = new App({ logger: false, clock })
      .use(router())
      .use(coap({ host, port: 5683, allowUnauthenticated: true, multicast: true, amplification: false, network: network.machine(host) }))
    app.get('/name', () => host)
    app.get('/long', () => `${host} `.repeat(300))
    app.get('/light', { rt: i === 2 ? 'lamp' : 'socket', ct: 50 }, () => ({ on: true }))
    app.get('/only/1', () => (i === 1 ? 'here' : undefined))
    app.put('/light', () => void switched.push(host))
    await app.listen()
    apps.push(app)
  }
  const app = new App({ logger: false, clock }).use(coap({ clock, network: network.machine('10.0.0.2'), ...client }))
  apps.push(app)
  return {
    clock,
    network,
    switched,
    app,
    client: await clock.runUntil(app.connect(`coap://${GROUP}`)),
    close: () => clock.runUntil(Promise.all(apps.map(app => app.close({ timeout: 100 }))))
  }
}

const texts = async (client: Client, path: string, options = {}): Promise<string[]> => {
  const all: string[] = []
  for await (const answer of collect(client, path, options)) all.push(`${answer['coap.Peer']} ${(await answer.text()).length}`)
  return all.sort()
}

describe('a client of a group (RFC 7252 section 8)', () => {
  test('sends as far as multicast.hops says', async () => {
    const machine = virtualNetwork({ clock: virtualClock() }).machine('10.0.0.2')
    const bound: unknown[] = []
    const network = { ...machine, bind: (address: Parameters<typeof machine.bind>[0]) => (bound.push(address.multicastHops), machine.bind(address)) }
    const app = new App({ logger: false }).use(coap({ multicast: { hops: 3 }, network }))
    await app.connect(`coap://${GROUP}`)
    expect(bound).toEqual([3])
    await app.close()
    for (const hops of [0, 256, 1.5]) expect(() => coap({ multicast: { hops } })).toThrow(/hops/)
  })

  test('collects one answer of each member, with its URL, for the time of the leisure', async () => {
    const { clock, client, close } = await group()
    const began = clock.now()
    expect(await clock.runUntil(texts(client, '/name'))).toEqual([1, 2, 3].map(i => `coap://10.0.1.${i}:5683 8`))
    expect(clock.now() - began).toBe(7000)
    expect(await clock.runUntil(texts(client, '/only/1', { time: 6000 }))).toEqual(['coap://10.0.1.1:5683 4'])
    await close()
  })

  test('gets the rest of a long answer from that member alone', async () => {
    const { clock, client, network, close } = await group()
    expect(await clock.runUntil(texts(client, '/long', { time: 10_000 }))).toEqual([1, 2, 3].map(i => `coap://10.0.1.${i}:5683 2700`))
    expect(network.trace.filter(({ to }) => to.address === GROUP)).toHaveLength(1)
    await close()
  })

  test('gives answers as they come, and ends when the loop is left or the signal aborts', async () => {
    const { clock, client, close } = await group()
    const first = async (): Promise<string> => {
      for await (const answer of collect(client, '/name')) return answer.text()
      return ''
    }
    expect(await clock.runUntil(first())).toMatch(/^10\.0\.1/)
    const given = new AbortController()
    const ended = texts(client, '/name', { signal: given.signal })
    given.abort()
    expect(await clock.runUntil(ended)).toEqual([])
    await close()
  })

  test('asks nobody for the rest of an answer when its time is over', async () => {
    const { clock, client, network, close } = await group(0)
    const member = network.machine('10.0.3.1')
    const senders = await Promise.all(Array.from({ length: 100 }, (_, at) => member.bind({ host: '10.0.3.1', port: 6000 + at })))
    const listener = await member.bind({ host: GROUP, port: 5683, shared: true })
    listener.join?.(GROUP)
    listener.open({
      message: (bytes, address, port) => {
        const { token } = decode(bytes) as ReceivedMessage
        const options = new Options().add(OPTION.BLOCK2, 0x0e)
        const answer = encode({ type: TYPE.NON, code: CODE.CONTENT, id: 5, token, options, payload: Buffer.alloc(1024) })
        for (const sender of senders) sender.send(answer, port, address)
      },
      error: () => undefined
    })
    expect(await clock.runUntil(texts(client, '/long', { time: 3000 }))).toEqual([])
    const asked = network.trace.length
    await clock.advance(300_000)
    expect(network.trace.length).toBe(asked)
    await close()
  })

  test('refuses methods that have one answer, and observing, and names collect()', async () => {
    const { clock, client, close } = await group(1)
    const failed = (work: Promise<unknown>) => clock.runUntil(work.catch((error: unknown) => error))
    const refused = { status: 501, code: 'group-request', detail: expect.stringMatching(/collect\(\) or discover\(\)/) }
    expect(await failed(client.get('/name'))).toMatchObject(refused)
    expect(await failed(client.put('/light', 1))).toMatchObject(refused)
    expect(await failed(client.observe('/name')[Symbol.asyncIterator]().next())).toMatchObject(refused)
    await close()
  })

  test('sends what no member answers, with No-Response', async () => {
    const { clock, client, network, close } = await group()
    const request = { 'iopa.Method': 'PUT', 'iopa.Path': '/light', 'iopa.Body': 'on', 'coap.Options': [[OPTION.NO_RESPONSE, 26]] as const }
    expect((await client.send(request)).status).toBe(204)
    const sent = network.trace.find(({ to }) => to.address === GROUP)!
    const { type, code } = decode(sent.bytes) as ReceivedMessage
    expect([type, code]).toEqual([TYPE.NON, CODE.PUT])
    await clock.advance(1000)
    await close()
  })

  test('takes an answer with its token alone, one of each machine, and acknowledges a confirmable one', async () => {
    const { clock, client, network, close } = await group(0)
    const machine = await network.machine('10.0.1.9').bind({ host: '10.0.1.9', port: 5683 })
    const got: ReceivedMessage[] = []
    machine.open({ message: bytes => void got.push(decode(bytes) as ReceivedMessage), error: () => undefined })
    const all = texts(client, '/name')
    await clock.advance(1)
    const asked = network.trace.find(({ to }) => to.address === GROUP)!
    const { token } = decode(asked.bytes) as ReceivedMessage
    const answer = (own: Uint8Array, type: number, code: number, options: [number, OptionValue][] = []): void =>
      machine.send(
        encode({ type, code, id: 7, token: own, options: options.reduce((all, [n, v]) => all.add(n, v), new Options()), payload: Buffer.from('x') }),
        asked.from.port,
        '10.0.0.2'
      )
    answer(Buffer.from('another1'), TYPE.CON, CODE.CONTENT)
    answer(token, TYPE.CON, CODE.NOT_FOUND)
    answer(token, TYPE.NON, CODE.CONTENT, [[2049, 'x']])
    answer(token, TYPE.NON, CODE.GET)
    machine.send(Buffer.from('00ff', 'hex'), asked.from.port, '10.0.0.2')
    answer(token, TYPE.CON, CODE.CONTENT)
    answer(token, TYPE.CON, CODE.CONTENT)
    expect(await clock.runUntil(all)).toEqual(['coap://10.0.1.9:5683 1'])
    expect(got.map(({ type, code }) => [type, code])).toEqual([TYPE.ACK, TYPE.ACK, TYPE.ACK].map(type => [type, 0]))
    answer(token, TYPE.CON, CODE.CONTENT)
    await clock.advance(100)
    expect(got).toHaveLength(3)
    await close()
  })

  test('lets one machine answer only what was asked of it: an answer of another is not taken', async () => {
    const { clock, app, network, close } = await group(1)
    const client = await clock.runUntil(app.connect('coap://10.0.1.1'))
    const other = await network.machine('10.0.1.9').bind({ host: '10.0.1.9', port: 5683 })
    network.script = ({ from, bytes, to }) => {
      if (from.address !== '10.0.1.1') return undefined
      other.send(bytes, to.port, to.address)
      return 'drop'
    }
    const answer = client.get('/name').catch((error: unknown) => error)
    expect(await clock.runUntil(answer)).toMatchObject({ code: 'timeout' })
    await close()
  })
})

describe('discover()', () => {
  test('gives the links of all members with the attributes that are asked for', async () => {
    const { clock, client, app, close } = await group()
    const lamps = await clock.runUntil(discover(client, { rt: 'lamp' }))
    expect(lamps.map(({ url, peer, attributes }) => [url.href, peer.href, attributes['rt'], attributes['ct']])).toEqual([
      ['coap://10.0.1.2:5683/light', 'coap://10.0.1.2:5683', 'lamp', '50']
    ])
    expect((await clock.runUntil(discover(client, { ct: 50, time: 6000 }))).length).toBe(3)
    const one = await clock.runUntil(app.connect('coap://10.0.1.3'))
    const began = clock.now()
    expect((await clock.runUntil(discover(one, { href: '/li*' }))).map(({ href }) => href)).toEqual(['/light'])
    expect(clock.now() - began).toBeLessThan(1000)
    await expect(discover(one, { rr: 'x' } as never)).rejects.toMatchObject({ code: 'bad-option' })
    await close()
  })

  test('filters the links of a server that does not, and refuses what is no list', async () => {
    const server = new App({ logger: false }).use(router()).use(coap({ port: 0 }))
    let list = '</a>;rt="x",</b>;rt="y";obs,<coap://10.0.0.9/c>;rt="y"'
    server.get('/.well-known/core', ({ response }) => {
      response.type = 'application/link-format'
      return list
    })
    const [listener] = await server.listen()
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(listener!.url)
    expect((await discover(client, { rt: 'y' })).map(({ url }) => url.href)).toEqual([new URL('/b', listener!.url).href, 'coap://10.0.0.9/c'])
    expect((await discover(client, { rt: 'y', obs: true })).map(({ href }) => href)).toEqual(['/b'])
    list = '</a'
    await expect(discover(client)).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
    await app.close({ timeout: 0 })
    await server.close({ timeout: 0 })
  })
})

/** A status of a Shelly 2.5 as it is on the wire: NON 0.30 without token, /cit/s, options 3332, 3412 and 3420. */
const COIOT = Buffer.concat([
  Buffer.from('501e000ab36369740173', 'hex'),
  Buffer.from('ed0bec07', 'hex'),
  Buffer.from('SHSW-25#B2A5F1#2#000'.slice(0, 20)),
  Buffer.from('d24396008217a1ff', 'hex'),
  Buffer.from('{"G":[[0,1101,1],[0,4101,25.3]]}')
])

describe('a server in a group', () => {
  test("receives Shelly's CoIoT over loopback, on the interface that it names", async () => {
    const seen: unknown[] = []
    const app = new App({ logger: false })
      .use(router())
      .use(coap({ host: '0.0.0.0', port: 0, allowUnauthenticated: true, codes: { '0.30': 'STATUS' }, multicast: { interface: '127.0.0.1' } }))
    const received = new Promise<void>(resolve => {
      app.on('STATUS', '/cit/s', async context => {
        const { options } = context['coap.Message']!
        seen.push([options.text(3332), options.uint(3412), options.uint(3420), await context.json()])
        resolve()
      })
    })
    const [listener] = await app.listen()
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    socket.setMulticastInterface('127.0.0.1')
    const answers: Buffer[] = []
    socket.on('message', bytes => void answers.push(bytes))
    socket.send(COIOT, Number(listener!.url.port), GROUP)
    await received
    expect(seen).toEqual([
      [
        'SHSW-25#B2A5F1#2#000',
        38_400,
        6049,
        {
          G: [
            [0, 1101, 1],
            [0, 4101, 25.3]
          ]
        }
      ]
    ])
    // A group does not answer without anything to say.
    await app.close({ timeout: 0 })
    expect(answers).toEqual([])
    socket.close()
  })

  test('joins several groups, and is found by a client on the same interface', async () => {
    const groups = ['224.0.1.187', '239.255.1.2']
    const server = new App({ logger: false })
      .use(router())
      .use(coap({ host: '0.0.0.0', port: 0, allowUnauthenticated: true, multicast: { groups, interface: 'lo' }, transmission: { leisure: 50 } }))
    server.get('/light', { rt: 'lamp' }, () => 'on')
    const [listener] = await server.listen()
    const app = new App({ logger: false }).use(coap({ multicast: { groups: false, interface: '127.0.0.1' } }))
    for (const group of groups) {
      const client = await app.connect(`coap://${group}:${listener!.url.port}`)
      expect((await discover(client, { rt: 'lamp', time: 400 })).map(({ href }) => href)).toEqual(['/light'])
    }
    await app.close({ timeout: 0 })
    await server.close({ timeout: 0 })
  })

  test.each([
    [{ multicast: ['10.0.0.1'] }, /multicast group/],
    [{ multicast: { groups: ['ff02::fd', 'fe80::1'] } }, /fe80::1/],
    [{ multicast: { iface: 'lo' } as never }, /no option 'iface'/],
    [{ multicast: { interface: 7 as never } }, /interface a text/]
  ])('is refused with %j', (options, sentence) => {
    expect(() => coap(options)).toThrow(sentence)
  })

  test('says which interfaces there are where it is given another', async () => {
    const app = new App({ logger: false }).use(coap({ port: 0, multicast: { interface: 'wlan77' } }))
    await expect(app.listen()).rejects.toMatchObject({ code: 'bad-option', detail: expect.stringMatching(/wlan77.*there are.*lo/) })
    await app.close({ timeout: 0 })
  })
})
