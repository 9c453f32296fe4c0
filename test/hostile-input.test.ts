// What peers may send, wrong in every way: each protocol has a clear error for it, and the house serves on.
import type { Limits } from '@iopa/appbuilder'
import { seededRandom } from '@iopa/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  BLOCK1,
  bag,
  CONTENT_FORMAT,
  type CoapOption,
  CSM,
  coapCode,
  coapDatagram,
  coapFrame,
  DatagramPeer,
  datagram,
  exchange,
  frameCodes,
  type House,
  httpGet,
  httpPut,
  httpStatus,
  isLine,
  lineStatus,
  mqttConnect,
  mqttPacket,
  openHouse,
  Peer,
  publishReason,
  URI_PATH,
  until
} from './hostile-support.ts'

const limits: Partial<Limits> = { body: 4000, headerTimeout: 500, idleTimeout: 1000, requestTimeout: 1000 }
const HALL = { on: false, level: 0 }
const JSON_FORMAT = Uint8Array.of(50)

let house: House
beforeEach(async () => {
  house = await openHouse(limits)
})
afterEach(async () => {
  // Whatever came before: the state is as it was, and every port serves.
  const { ports } = house
  const told = await exchange(ports.tcp, `${bag({ 'iopa.Path': '/lights/hall' })}\n`, isLine)
  expect(JSON.parse(String(told))['iopa.Body']).toEqual(HALL)
  expect(await httpStatus(ports.http, httpGet('/lights/hall'))).toBe(200)
  expect(lineStatus(await datagram(ports.udp, Buffer.from(bag({ 'iopa.Path': '/lights/hall' }))))).toBe(200)
  expect(coapCode(await datagram(ports.coap, coapDatagram(1, pathOptions('lights', 'hall'))))).toBe('2.05')
  expect(await publishReason(ports.mqtt, 'lights/hall', JSON.stringify(HALL))).toBe(0)
  await house.close()
})

const pathOptions = (...segments: (string | Uint8Array)[]): CoapOption[] => segments.map(segment => [URI_PATH, segment])
const isFrame = (count: number) => (received: Buffer) => {
  try {
    return frameCodes(received).length >= count
  } catch {
    return false
  }
}

/** The code of an answer on a CoAP stream, after both sides have introduced themselves. */
const streamCode = async (frame: Uint8Array): Promise<string | undefined> =>
  frameCodes(await exchange(house.ports.coapTcp, Buffer.concat([coapFrame(CSM), frame]), isFrame(2)))[1]

const tcpStatus = async (line: string | Uint8Array): Promise<number> =>
  lineStatus(await exchange(house.ports.tcp, Buffer.concat([Buffer.from(line as string), Buffer.from('\n')]), isLine))
const udpStatus = async (bytes: string | Uint8Array): Promise<number> => lineStatus(await datagram(house.ports.udp, Buffer.from(bytes as string)))

/** A name for each case that a report can show. */
const named = (cases: readonly (readonly [path: string, status: number])[]): [name: string, path: string, status: number][] =>
  cases.map(([path, status]) => [path.length < 50 ? path : `${path.slice(0, 12)}... of ${path.length} characters`, path, status])

describe('an invalid path', () => {
  test.each(
    named([
      ['/%E0%A4%A', 400],
      ['/%', 400],
      ['/%zz', 400],
      ['/%ff', 400],
      // Overlong and surrogate forms are no UTF-8 (RFC 3629 section 3).
      ['/%c0%ae%c0%ae/lights', 400],
      ['/%ed%a0%80', 400],
      ['/%00', 400],
      ['/lights/hall%00', 400],
      ['/%2e%2e/lights', 400],
      ['/%2E%2e/%2e%2E/etc/passwd', 400],
      ['/lights/%2e', 400],
      ['/../lights', 400],
      ['/lights/./hall', 400],
      ['/..%2flights', 400],
      ['/lights%2Fhall', 400],
      ['/lights%5chall', 400],
      ['/lights\\hall', 400],
      ['/lights//hall', 400],
      ['//lights', 400],
      ['lights', 400],
      [`/${'a/'.repeat(1000)}`, 414],
      [`/${'a'.repeat(5000)}`, 414],
      [`/${'%61'.repeat(5000)}`, 414],
      // Decoded once: these are names with a percent sign in them, which nobody has.
      ['/%252e%252e/lights', 404],
      ['/lights%252fhall', 404],
      ['/lights/%2500', 404]
    ])
  )('is refused over HTTP: %s', async (_, target, status) => {
    const answer = await exchange(house.ports.http, httpGet(target, 'connection: close\r\n'))
    expect(Number(answer.toString('latin1').split(' ')[1])).toBe(status)
    expect(answer.toString('latin1')).toMatch(/application\/problem\+json/)
  })

  test.each<[string, CoapOption[], string[]]>([
    ['with NUL', pathOptions('lights', '\0'), ['4.00']],
    ['with ..', pathOptions('..', 'lights'), ['4.00']],
    ['with .', pathOptions('.', 'lights'), ['4.00']],
    ['with a slash in a segment', pathOptions('lights/hall'), ['4.00']],
    ['with a backslash', pathOptions('lights\\hall'), ['4.00']],
    ['with an empty segment', pathOptions('lights', '', 'hall'), ['4.00']],
    ['that is no UTF-8', pathOptions(Uint8Array.of(0xe0, 0xa4)), ['4.00', '4.02']],
    // Neutral 414 has no code of its own (design: other 4xx are 4.00).
    ['of 1,000 segments', pathOptions(...Array.from({ length: 1000 }, () => 'a')), ['4.00', '4.02', '4.13']],
    ['that a URL would decode', pathOptions('%2e%2e', 'lights'), ['4.04']]
  ])('is refused over CoAP, on datagrams and streams: %s', async (_, options, codes) => {
    const byDatagram = await datagram(house.ports.coap, coapDatagram(1, options))
    // A message that cannot be read may be rejected with RST instead (RFC 7252 section 4.2).
    expect([...codes, '0.00']).toContain(coapCode(byDatagram))
    expect(codes).toContain(await streamCode(coapFrame(1, options)))
  })

  test.each(
    named([
      ['/..', 400],
      ['/lights/../lights/hall', 400],
      ['/lights//hall', 400],
      ['/\0', 400],
      ['/lights\\hall', 400],
      ['lights/hall', 400],
      ['', 400],
      ['/\ud800', 400],
      [`/${'a/'.repeat(1000)}`, 414],
      ['/%2e%2e/lights', 404],
      ['/lights%2Fhall', 404]
    ])
  )('is refused in a bag, over TCP and UDP: %j', async (_, path, status) => {
    const line = bag({ 'iopa.Path': path })
    expect([await tcpStatus(line), await udpStatus(line)]).toEqual([status, status])
  })

  test.each(['/lights/hall', 'lights//hall', 'lights/../lights/hall', './lights/hall', 'lights\\hall', '%2e%2e/lights/hall'])(
    'is a plain topic over MQTT and reaches no route: %j',
    async topic => {
      // 0x10: there are no matching subscribers.
      expect([0, 0x10]).toContain(await publishReason(house.ports.mqtt, topic, '{"on":true,"level":99}'))
    }
  )

  test.each<[string, string | Uint8Array]>([
    ['with NUL', 'lights/\0'],
    ['that is no UTF-8', Uint8Array.of(0x61, 0xff)],
    ['with a wildcard', 'lights/+'],
    ['that is empty', ''],
    ['of 1,000 levels', 'a/'.repeat(1000)]
  ])('ends the connection or is refused as an MQTT topic: %s', async (_, topic) => {
    // Malformed packet, protocol error, topic name invalid; a close without a word where nothing can be understood.
    expect([-1, 0x81, 0x82, 0x90]).toContain(await publishReason(house.ports.mqtt, topic, 'x'))
  })
})

describe('an unreadable body', () => {
  test.each([
    ['that ends too early', '{"on":true,'],
    ['of one quote', '"'],
    ['of no bytes', ''],
    ['that is no UTF-8', '{"on":"\ufffd"}'],
    ['with __proto__', '{"__proto__":{"on":true},"on":true,"level":1}'],
    ['with an escaped __proto__', '{"\\u005f_proto__":{"on":true},"on":true,"level":1}'],
    ['with constructor.prototype', '{"constructor":{"prototype":{}},"on":true,"level":1}']
  ])('gets 400 on every protocol: %s', async (name, json) => {
    const broken = name.includes('UTF-8') ? Buffer.from(json.replace('\ufffd', '\xff'), 'latin1') : Buffer.from(json)
    const { ports } = house
    const put = Buffer.concat([
      Buffer.from(httpPut('/lights/hall', 'x'.repeat(broken.length)).slice(0, broken.length === 0 ? undefined : -broken.length)),
      broken
    ])
    const answer = (await exchange(ports.http, put, received => received.includes('"status"'))).toString()
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    const options: CoapOption[] = [...pathOptions('lights', 'hall'), [CONTENT_FORMAT, JSON_FORMAT]]
    expect(coapCode(await datagram(ports.coap, coapDatagram(3, options, broken)))).toBe('4.00')
    expect(await streamCode(coapFrame(3, options, broken))).toBe('4.00')
    expect(await publishReason(ports.mqtt, 'lights/hall', broken)).toBe(0x99)
    const encoded = bag({
      'iopa.Method': 'PUT',
      'iopa.Path': '/lights/hall',
      'iopa.ContentType': 'application/json',
      'iopa.Body': broken.toString('base64'),
      'iopa.BodyEncoding': 'base64'
    })
    expect([await tcpStatus(encoded), await udpStatus(encoded)]).toEqual([400, 400])
  })

  test.each([
    '{"iopa.Method":"PUT",',
    '[]',
    'null',
    '"x"',
    '{"iopa.Method":"GET","iopa.Path":"/","__proto__":{}}',
    '{"iopa.Path":1}',
    '\xff',
    '{"iopa.Method":"CONNECT","iopa.Path":"/"}'
  ])('gets 400 as bag: %s', async line => {
    const bytes = Buffer.from(line, 'latin1')
    expect([await tcpStatus(bytes), await udpStatus(bytes)]).toEqual([400, 400])
  })

  test('gets 400 or 422 without stack overflow when it is nested a hundred thousand levels deep', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    const roomy = await openHouse({ ...limits, body: 1_000_000 })
    try {
      for (const json of [deep, deep.replace('[]', '["\\u0061"]')]) {
        expect([400, 422]).toContain(await httpStatus(roomy.ports.http, httpPut('/lights/hall', json)))
        expect(await publishReason(roomy.ports.mqtt, 'lights/hall', json)).toBe(0x99)
        const line = `{"iopa.Method":"PUT","iopa.Path":"/lights/hall","iopa.Body":${json}}\n`
        expect([400, 422]).toContain(lineStatus(await exchange(roomy.ports.tcp, line, isLine)))
      }
    } finally {
      await roomy.close()
    }
  })
})

describe('a body over the limit', () => {
  const big = JSON.stringify({ on: true, level: 1, more: 'x'.repeat(5000) })

  test('gets 413 over HTTP, with or without Content-Length', async () => {
    expect(await httpStatus(house.ports.http, httpPut('/lights/hall', big))).toBe(413)
    // Told, and never sent.
    expect(await httpStatus(house.ports.http, httpPut('/lights/hall', '').replace('content-length: 0', 'content-length: 99999999999'))).toBe(413)
    const chunk = `${(1000).toString(16)}\r\n${'x'.repeat(1000)}\r\n`
    const head = 'PUT /lights/hall HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
    expect(await httpStatus(house.ports.http, head + chunk.repeat(20))).toBe(413)
  })

  test('gets 4.13 over CoAP, in one message or in blocks', async () => {
    const options: CoapOption[] = [...pathOptions('lights', 'hall'), [CONTENT_FORMAT, JSON_FORMAT]]
    expect(await streamCode(coapFrame(3, options, big))).toBe('4.13')
    const codes: string[] = []
    const sender = await DatagramPeer.open(house.ports.coap)
    for (let number = 0; number < 20 && codes.at(-1) !== '4.13'; number++) {
      // More blocks follow, each of 1,024 bytes.
      const block = Uint8Array.from([number >> 4, ((number & 15) << 4) | 8 | 6])
      codes.push(coapCode(await sender.ask(coapDatagram(3, [...options, [BLOCK1, block]], 'x'.repeat(1024)))))
    }
    sender.close()
    expect(codes).toEqual(['2.31', '2.31', '2.31', '4.13'])
  })

  test('gets DISCONNECT with packet too large over MQTT, before it is read', async () => {
    // Told, and never sent.
    const peer = await Peer.open(house.ports.mqtt)
    await peer.send(mqttConnect('big')).answer(received => received.length > 4)
    const before = peer.received.length
    await peer.send(Uint8Array.from([0x30, 0xff, 0xff, 0xff, 0x7f])).answer()
    expect([...peer.received.subarray(before)].slice(0, 3)).toEqual([0xe0, expect.any(Number), 0x95])
  })

  test('closes the connection before CONNECT, over MQTT', async () => {
    expect((await exchange(house.ports.mqtt, Uint8Array.from([0x10, 0xff, 0xff, 0x7f]))).length).toBe(0)
  })

  test('gets 413 in a bag, over TCP and UDP', async () => {
    const line = bag({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': JSON.parse(big) })
    expect([await tcpStatus(line), await udpStatus(line)]).toEqual([413, 413])
  })

  test('gets 431 for headers over HTTP and in a bag', async () => {
    expect(await httpStatus(house.ports.http, httpGet('/lights/hall', `x-long: ${'x'.repeat(20_000)}\r\n`))).toBe(431)
    expect(await httpStatus(house.ports.http, httpGet('/lights/hall', 'x: y\r\n'.repeat(200)))).toBe(431)
    const headers = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'y']))
    expect(await tcpStatus(bag({ 'iopa.Path': '/lights/hall', 'iopa.Headers': headers }))).toBe(431)
  })
})

describe('an endless message', () => {
  test('gets 413 at the limit over TCP, and the connection ends', async () => {
    const peer = await Peer.open(house.ports.tcp)
    const received = await peer.send('x'.repeat(200_000)).answer()
    expect(lineStatus(received)).toBe(413)
  })

  test('gets 431 as a header or 414 as a request line over HTTP, and the connection ends', async () => {
    for (const begin of ['GET / HTTP/1.1\r\nhost: localhost\r\nx: ', 'GET /']) {
      const peer = await Peer.open(house.ports.http)
      const received = await peer.send(begin + 'x'.repeat(200_000)).answer()
      expect(received.toString()).toMatch(/^HTTP\/1\.1 (?:414|431) /)
    }
  })
})

describe('ambiguous requests', () => {
  test.each([
    ['two lengths', 'content-length: 4\r\ncontent-length: 5\r\n'],
    ['a length and chunks', 'content-length: 4\r\ntransfer-encoding: chunked\r\n'],
    ['an unknown coding', 'transfer-encoding: gzip\r\n'],
    ['a negative length', 'content-length: -1\r\n']
  ])('are refused over HTTP, and later bytes are not read: %s', async (_, fields) => {
    const smuggled = `0\r\n\r\n${httpPut('/lights/hall', '{"on":true,"level":66}')}`
    const received = await exchange(house.ports.http, `PUT /lights/hall HTTP/1.1\r\nhost: localhost\r\n${fields}\r\n${smuggled}`)
    expect(received.toString()).toMatch(/^HTTP\/1\.1 (?:400|501) /)
    expect(received.toString().match(/HTTP\/1\.1/g)).toHaveLength(1)
  })
})

describe('garbage', () => {
  const random = seededRandom(20_000)
  const garbage = (length: number): Uint8Array => Uint8Array.from({ length }, () => Math.floor(random() * 256))

  test('gets an error or a close on every port', async () => {
    const { http, mqtt, tcp, coapTcp } = house.ports
    for (const port of [http, mqtt, tcp, coapTcp]) {
      const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.open(port)))
      peers.forEach((peer, index) => {
        peer.send(garbage(1 + index * 41))
        if (index % 2 === 0) peer.socket.end()
      })
      await Promise.all(peers.map(peer => peer.answer()))
      for (const peer of peers) peer.socket.destroy()
    }
    await until('no context is left', () => house.app.live === 0)
  })

  test('gets an error or a close after a valid start', async () => {
    const begins: readonly [number, Uint8Array][] = [
      [house.ports.mqtt, mqttConnect('garbage')],
      [house.ports.coapTcp, coapFrame(CSM)],
      [house.ports.http, Buffer.from(httpGet('/lights/hall'))],
      [house.ports.tcp, Buffer.from(`${bag({ 'iopa.Path': '/lights/hall' })}\n`)]
    ]
    for (const [port, begin] of begins) {
      const peers = await Promise.all(Array.from({ length: 25 }, () => Peer.open(port)))
      peers.forEach((peer, index) => {
        peer.send(begin).send(garbage(20 + index * 17))
        peer.socket.end()
      })
      await Promise.all(peers.map(peer => peer.answer()))
    }
  })

  test('gets at most an error in datagrams', async () => {
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const answer = await datagram(index % 2 === 0 ? house.ports.coap : house.ports.udp, garbage(Math.floor(random() * 300)), 100)
        if (answer === null || index % 2 === 0) return
        expect(lineStatus(answer)).toBe(400)
      })
    )
  })

  test('gets an error or a close as every kind of MQTT packet', async () => {
    const peers = await Promise.all(
      Array.from({ length: 256 }, async (_, header) => {
        const peer = await Peer.open(house.ports.mqtt)
        return peer.send(mqttConnect(`kind-${header}`)).send(mqttPacket(header, garbage(12)))
      })
    )
    for (const peer of peers) peer.socket.end()
    await Promise.all(peers.map(peer => peer.answer()))
  })
})
