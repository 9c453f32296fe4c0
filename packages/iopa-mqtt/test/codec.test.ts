import fc from 'fast-check'
import { generate, type IPublishPacket, parser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { FrameGuard } from '../src/codec/frame-guard.ts'
import { decodeMessageProperties, encodeMessageProperties, encodeReason } from '../src/codec/message-properties.ts'
import { PacketDecoder } from '../src/codec/packet-decoder.ts'
import { encodeAuth, encodeConnack, encodeDisconnect, encodeSubscriptionAcknowledgement } from '../src/codec/packet-encoder.ts'
import type { ClientPacket, ConnectPacket } from '../src/codec/packets.ts'
import { ProtocolError } from '../src/codec/protocol-error.ts'
import { decodeAcknowledgement, decodePublish, PublishFields } from '../src/codec/publish-decoder.ts'
import { acknowledgementSize, publishSize, writeAcknowledgement, writePublish } from '../src/codec/publish-encoder.ts'

const MAX_USER_PROPERTIES = 10

/** Runs `read` on the one packet in these bytes. */
function onFrame<T>(bytes: Buffer, read: (bytes: Buffer, start: number, body: number, end: number) => T): T {
  let result: { value: T } | undefined
  new FrameGuard(1 << 28, (chunk, start, body, end) => {
    result = { value: read(chunk, start, body, end) }
    return true
  }).push(bytes)
  if (!result) throw new Error('no whole packet')
  return result.value
}

const decoder = new PacketDecoder(MAX_USER_PROPERTIES)
const decode = (bytes: Buffer, version: number): ClientPacket =>
  onFrame(bytes, (chunk, start, body, end) => decoder.decode(chunk, start, body, end, version))

function publish(bytes: Buffer, version: number): PublishFields & { topic: string; payload: string } {
  return onFrame(bytes, (chunk, start, body, end) => {
    const fields = new PublishFields()
    decodePublish(chunk, start, body, end, version, MAX_USER_PROPERTIES, fields)
    return Object.assign(fields, {
      topic: chunk.toString('utf8', fields.topicStart, fields.topicEnd),
      payload: chunk.toString('utf8', fields.payloadStart, end)
    })
  })
}

/** Reads one packet with the library alone. */
function reference(bytes: Buffer, version: number): Record<string, unknown> {
  let packet: unknown
  const library = parser({ protocolVersion: version })
  library.on('packet', parsed => {
    packet = parsed
  })
  library.parse(bytes)
  return packet as Record<string, unknown>
}

const reasonOf = (work: () => unknown): number | undefined => {
  try {
    work()
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode
    throw error
  }
  return undefined
}

/** A packet from its first byte and its parts. */
const packet = (first: number, ...parts: (Buffer | readonly number[])[]): Buffer => {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  expect(body.length).toBeLessThan(16_384)
  return Buffer.concat([Buffer.from(body.length < 128 ? [first, body.length] : [first, (body.length & 127) | 128, body.length >> 7]), body])
}
const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

describe('a PUBLISH', () => {
  const topicName = fc.stringMatching(/^[a-zä/]{1,40}$/)
  const userProperties = fc.dictionary(
    fc.constantFrom('a', 'b', 'status'),
    fc.string({ maxLength: 10 }).map(value => value.replaceAll('\0', '')),
    { noNullPrototype: true, minKeys: 1 }
  )

  test('is read as the general codec reads it, in every version', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(3, 4, 5),
        topicName,
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0, 1, 2),
        fc.boolean(),
        fc.integer({ min: 1, max: 65_535 }),
        fc.record(
          {
            payloadFormatIndicator: fc.boolean(),
            messageExpiryInterval: fc.nat(),
            topicAlias: fc.integer({ min: 1, max: 65_535 }),
            contentType: fc.constant('text/plain'),
            correlationData: fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes)),
            responseTopic: topicName,
            userProperties
          },
          { requiredKeys: [] }
        ),
        (version, topic, payload, qos, retain, messageId, properties) => {
          const given: IPublishPacket = {
            cmd: 'publish',
            topic,
            payload: Buffer.from(payload),
            qos: qos as 0 | 1 | 2,
            retain,
            dup: qos > 0 && retain,
            messageId,
            ...(version === 5 ? { properties } : {})
          }
          const bytes = generate(given, { protocolVersion: version })
          const read = publish(bytes, version)
          expect(read).toMatchObject({ topic, qos, retain, dup: given.dup, packetId: qos > 0 ? messageId : 0 })
          expect(bytes.subarray(read.payloadStart)).toEqual(Buffer.from(payload))
          if (version < 5) return
          expect(read.topicAlias).toBe(properties.topicAlias ?? 0)
          expect(read.messageExpiryInterval).toBe(properties.messageExpiryInterval ?? -1)
          const passedOn = decodeMessageProperties(read.properties)
          expect(passedOn.contentType).toBe(properties.contentType)
          expect(passedOn.responseTopic).toBe(properties.responseTopic)
          expect(passedOn.payloadFormatIndicator).toBe(properties.payloadFormatIndicator)
          expect(passedOn.correlationData?.toString()).toBe(properties.correlationData?.toString())
          expect(Object.fromEntries(passedOn.userProperties ?? [])).toEqual({ ...properties.userProperties })
        }
      )
    )
  })

  test('is written so that the general codec reads it, in every version', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(3, 4, 5),
        topicName,
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0, 1, 2),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 }),
        fc.integer({ min: -1, max: 4_294_967_295 }),
        fc.nat({ max: 3 }),
        (version, topic, payload, qos, retain, subscriptionIdentifiers, messageExpiryInterval, topicAlias) => {
          const form = {
            topicBytes: Buffer.from(topic),
            bytes: Buffer.from(payload),
            payloadStart: 0,
            payloadEnd: payload.length,
            properties: encodeMessageProperties({ contentType: 'a/b', userProperties: [['x', 'y']] }),
            qos,
            retain,
            dup: qos > 0,
            packetId: 77,
            subscriptionIdentifiers,
            messageExpiryInterval,
            topicAlias,
            aliasKnown: version === 5 && topicAlias === 2
          }
          const bytes = Buffer.alloc(publishSize(form, version))
          expect(writePublish(bytes, 0, form, version)).toBe(bytes.length)
          const read = reference(bytes, version)
          expect(read).toMatchObject({
            cmd: 'publish',
            topic: form.aliasKnown ? '' : topic,
            qos,
            retain,
            dup: qos > 0,
            payload: Buffer.from(payload)
          })
          if (qos > 0) expect(read['messageId']).toBe(77)
          if (version < 5) return
          const properties = read['properties'] as Record<string, unknown>
          expect(properties['contentType']).toBe('a/b')
          expect({ ...(properties['userProperties'] as object) }).toEqual({ x: 'y' })
          expect(properties['messageExpiryInterval']).toBe(messageExpiryInterval < 0 ? undefined : messageExpiryInterval)
          expect(properties['topicAlias']).toBe(topicAlias || undefined)
          expect([properties['subscriptionIdentifier'] ?? []].flat()).toEqual(subscriptionIdentifiers)
        }
      )
    )
  })

  test('may be forwarded as it is when it is plain: QoS 0, no flags, nothing but properties that are passed on', () => {
    const frame = (properties: IPublishPacket['properties'], overrides: Partial<IPublishPacket> = {}): Buffer =>
      generate(
        {
          cmd: 'publish',
          topic: 'a',
          payload: 'x',
          qos: 0,
          retain: false,
          dup: false,
          messageId: 1,
          ...(properties ? { properties } : {}),
          ...overrides
        },
        { protocolVersion: 5 }
      )
    expect(publish(frame(undefined), 5).forwardable).toBe(true)
    expect(publish(frame({ contentType: 'a/b' }), 5).forwardable).toBe(true)
    expect(publish(frame({ topicAlias: 1 }), 5).forwardable).toBe(false)
    expect(publish(frame({ messageExpiryInterval: 1 }), 5).forwardable).toBe(false)
    expect(publish(frame(undefined, { retain: true }), 5).forwardable).toBe(false)
    expect(publish(frame(undefined, { qos: 1 }), 5).forwardable).toBe(false)
  })

  test.each([
    ['QoS 3', packet(0x36, text('a'), [0, 1, 0]), 0x81],
    ['a duplicate of QoS 0', packet(0x38, text('a'), [0]), 0x81],
    ['packet identifier 0', packet(0x32, text('a'), [0, 0, 0]), 0x81],
    ['a topic longer than the packet', packet(0x30, [0, 9, 97]), 0x81],
    ['no topic', packet(0x30, [0]), 0x81],
    ['no properties', packet(0x30, text('a')), 0x81],
    ['properties longer than the packet', packet(0x30, text('a'), [9, 1]), 0x81],
    ['an unknown property', packet(0x30, text('a'), [2, 99, 1]), 0x81],
    ['a property of another packet', packet(0x30, text('a'), [5, 17, 0, 0, 0, 1]), 0x81],
    ['a property twice', packet(0x30, text('a'), [4, 1, 1, 1, 1]), 0x82],
    ['a payload format above 1', packet(0x30, text('a'), [2, 1, 2]), 0x82],
    ['topic alias 0', packet(0x30, text('a'), [3, 35, 0, 0]), 0x94],
    ['a subscription identifier', packet(0x30, text('a'), [2, 11, 1]), 0x81],
    ['a property cut short', packet(0x30, text('a'), [2, 2, 0]), 0x81],
    ['a property that reaches into the payload', packet(0x30, text('a'), [2, 2, 0, 0, 0, 9, 9]), 0x81],
    ['a content type that is not UTF-8', packet(0x30, text('a'), [4, 3, 0, 1, 0xff]), 0x81],
    ['a user property with NUL', packet(0x30, text('a'), [7, 38, 0, 1, 0, 0, 1, 97]), 0x81],
    ['too many user properties', packet(0x30, text('a'), [5 * 11], Buffer.from(Array(11).fill([38, 0, 0, 0, 0]).flat())), 0x97],
    ['a property length in too many bytes', packet(0x30, text('a'), [0x80, 0x00]), 0x81]
  ])('with %s is refused', (_name, bytes, reason) => {
    expect(reasonOf(() => publish(bytes, 5))).toBe(reason)
  })
})

describe('an acknowledgement', () => {
  const read = (bytes: Buffer, type: number, version: number): [number, number] => {
    const value = onFrame(bytes, (chunk, _start, body, end) => decodeAcknowledgement(chunk, body, end, type, version, MAX_USER_PROPERTIES))
    return [value >> 8, value & 255]
  }

  test('is read as the general codec writes it', () => {
    expect(read(generate({ cmd: 'puback', messageId: 65_535 }), 4, 4)).toEqual([65_535, 0])
    expect(read(generate({ cmd: 'puback', messageId: 300, reasonCode: 0x10 }, { protocolVersion: 5 }), 4, 5)).toEqual([300, 0x10])
    expect(
      read(
        generate(
          { cmd: 'pubrec', messageId: 300, reasonCode: 0x99, properties: { reasonString: 'no', userProperties: { a: 'b' } } },
          { protocolVersion: 5 }
        ),
        5,
        5
      )
    ).toEqual([300, 0x99])
    expect(read(generate({ cmd: 'pubrel', messageId: 1, reasonCode: 0x92 }, { protocolVersion: 5 }), 6, 5)).toEqual([1, 0x92])
  })

  test('has a reason without control characters, which end the connection of a client', () => {
    const reason = 'a\u0000b\u001f\u007fc'
    const details = encodeReason(reason, [])
    const acknowledgement = Buffer.alloc(acknowledgementSize(5, 0x99, details))
    writeAcknowledgement(acknowledgement, 0, 4, 1, 5, 0x99, details)
    const others = [encodeConnack(5, false, 0x87, { reasonString: reason }), encodeDisconnect(0x87, reason)]
    for (const bytes of [acknowledgement, ...others]) {
      expect(reference(bytes, 5)['properties']).toMatchObject({ reasonString: 'a b  c' })
    }
  })

  test('is written so that the general codec reads it', () => {
    const details = encodeReason('wrong level', [['status', '422']])
    for (const [version, code, extra] of [
      [4, 0, null],
      [5, 0, null],
      [5, 0x87, null],
      [5, 0x99, details],
      [5, 0, details]
    ] as const) {
      const bytes = Buffer.alloc(acknowledgementSize(version, code, extra))
      expect(writeAcknowledgement(bytes, 0, 4, 4711, version, code, extra)).toBe(bytes.length)
      const packet = reference(bytes, version)
      expect(packet).toMatchObject({ cmd: 'puback', messageId: 4711, ...(version === 5 ? { reasonCode: code } : {}) })
      if (extra) expect(packet['properties']).toEqual({ reasonString: 'wrong level', userProperties: { status: '422' } })
    }
  })

  test.each([
    ['packet identifier 0', packet(0x40, [0, 0]), 0x81],
    ['one byte', packet(0x40, [1]), 0x81],
    ['a reason of another packet', packet(0x40, [0, 1, 0x92]), 0x82],
    ['something behind its properties', packet(0x40, [0, 1, 0, 0, 7]), 0x81],
    ['a property of another packet', packet(0x40, [0, 1, 0, 2, 1, 1]), 0x81]
  ])('with %s is refused', (_name, bytes, reason) => {
    expect(reasonOf(() => read(bytes, 4, 5))).toBe(reason)
  })

  test('of MQTT 3 has two bytes', () => {
    expect(reasonOf(() => read(packet(0x40, [0, 1, 0]), 4, 4))).toBe(0x81)
  })
})

describe('CONNECT', () => {
  test('is read with everything it may say', () => {
    const will = {
      topic: 'w',
      payload: Buffer.from('gone'),
      qos: 2 as const,
      retain: true,
      properties: { willDelayInterval: 3, messageExpiryInterval: 9, contentType: 'a/b', userProperties: { b: '1', a: '2' } }
    }
    const bytes = generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 5,
      clean: false,
      clientId: 'cä',
      keepalive: 60,
      username: 'ann',
      password: Buffer.from([0, 255]),
      will,
      properties: {
        sessionExpiryInterval: 4_294_967_295,
        receiveMaximum: 5,
        maximumPacketSize: 1000,
        topicAliasMaximum: 7,
        requestResponseInformation: true,
        requestProblemInformation: false,
        authenticationMethod: 'X',
        authenticationData: Buffer.from('y'),
        userProperties: { k: ['1', '2'] }
      }
    })
    const connect = decode(bytes, 0) as ConnectPacket
    expect(connect).toMatchObject({
      type: 'CONNECT',
      protocolVersion: 5,
      bridge: false,
      cleanStart: false,
      keepAlive: 60,
      clientId: 'cä',
      userName: 'ann',
      password: Buffer.from([0, 255]),
      sessionExpiryInterval: 4_294_967_295,
      receiveMaximum: 5,
      maximumPacketSize: 1000,
      topicAliasMaximum: 7,
      requestResponseInformation: true,
      requestProblemInformation: false,
      authenticationMethod: 'X',
      authenticationData: Buffer.from('y'),
      userProperties: [
        ['k', '1'],
        ['k', '2']
      ]
    })
    expect(connect.will).toMatchObject({ topic: 'w', payload: Buffer.from('gone'), qos: 2, retain: true, delayInterval: 3, messageExpiryInterval: 9 })
    expect(decodeMessageProperties(connect.will?.properties as Buffer)).toEqual({
      contentType: 'a/b',
      userProperties: [
        ['b', '1'],
        ['a', '2']
      ]
    })
  })

  test('of MQTT 3.1 and 3.1.1 has the defaults of MQTT 5', () => {
    for (const [protocolId, protocolVersion] of [
      ['MQIsdp', 3],
      ['MQTT', 4]
    ] as const) {
      expect(decode(generate({ cmd: 'connect', protocolId, protocolVersion, clean: true, clientId: 'c', keepalive: 0 }), 0)).toMatchObject({
        protocolVersion,
        cleanStart: true,
        receiveMaximum: 65_535,
        maximumPacketSize: Number.POSITIVE_INFINITY,
        topicAliasMaximum: 0,
        requestProblemInformation: true,
        will: null,
        userName: null,
        password: null,
        sessionExpiryInterval: undefined
      })
    }
  })

  const head = (flags: number, version = 4, name = 'MQTT'): Buffer => Buffer.concat([text(name), Buffer.from([version, flags, 0, 10])])

  test('from a bridge is marked as such', () => {
    expect(decode(packet(0x10, head(2, 0x84), text('c')), 0)).toMatchObject({ protocolVersion: 4, bridge: true })
  })

  test.each([
    ['another name', packet(0x10, head(2, 4, 'HTTP'), text('c')), 0x84],
    ['version 6', packet(0x10, head(2, 6), text('c')), 0x84],
    ['version 4 under the name of 3.1', packet(0x10, head(2, 4, 'MQIsdp'), text('c')), 0x84],
    ['flags in its header', packet(0x11, head(2), text('c')), 0x81],
    ['the reserved flag', packet(0x10, head(3), text('c')), 0x81],
    ['a will of QoS 3', packet(0x10, head(0x1e), text('c'), text('w'), text('')), 0x81],
    ['a QoS for no will', packet(0x10, head(0x0a), text('c')), 0x81],
    ['a password but no user name', packet(0x10, head(0x42), text('c'), text('p')), 0x81],
    ['something behind its fields', packet(0x10, head(2), text('c'), [1]), 0x81],
    ['no client identifier', packet(0x10, head(2)), 0x81],
    ['a client identifier that is not UTF-8', packet(0x10, head(2), text(Buffer.from([0xc3, 0x28]))), 0x81],
    ['a client identifier with NUL', packet(0x10, head(2), text('a\0b')), 0x81],
    ['a surrogate', packet(0x10, head(2), text(Buffer.from([0xed, 0xa0, 0x80]))), 0x81],
    ['receive maximum 0', packet(0x10, head(2, 5), [3, 33, 0, 0], text('c')), 0x82],
    ['maximum packet size 0', packet(0x10, head(2, 5), [5, 39, 0, 0, 0, 0], text('c')), 0x82],
    ['authentication data without a method', packet(0x10, head(2, 5), [4, 22, 0, 1, 1], text('c')), 0x82],
    ['a will delay outside a will', packet(0x10, head(2, 5), [5, 24, 0, 0, 0, 0], text('c')), 0x81],
    ['a property twice', packet(0x10, head(2, 5), [10, 17, 0, 0, 0, 0, 17, 0, 0, 0, 0], text('c')), 0x82]
  ])('with %s is refused', (_name, bytes, reason) => {
    expect(reasonOf(() => decode(bytes, 0))).toBe(reason)
  })

  test('of MQTT 5 may have a password without a user name', () => {
    expect(decode(packet(0x10, head(0x42, 5), [0], text('c'), text('p')), 0)).toMatchObject({ userName: null, password: Buffer.from('p') })
  })
})

describe('the other packets of a client', () => {
  test('are read', () => {
    expect(
      decode(
        generate(
          {
            cmd: 'subscribe',
            messageId: 9,
            subscriptions: [
              { topic: 'a/+', qos: 1, nl: true, rap: true, rh: 2 },
              { topic: '$share/g/b', qos: 2 }
            ],
            properties: { subscriptionIdentifier: 300, userProperties: { x: 'y' } }
          },
          { protocolVersion: 5 }
        ),
        5
      )
    ).toEqual({
      type: 'SUBSCRIBE',
      packetId: 9,
      subscriptionIdentifier: 300,
      userProperties: [['x', 'y']],
      subscriptions: [
        { filter: 'a/+', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { filter: '$share/g/b', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 }
      ]
    })
    expect(decode(generate({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a', 'b'] }), 4)).toEqual({
      type: 'UNSUBSCRIBE',
      packetId: 9,
      filters: ['a', 'b'],
      userProperties: []
    })
    expect(decode(Buffer.from([0xc0, 0]), 4)).toEqual({ type: 'PINGREQ' })
    expect(decode(Buffer.from([0xe0, 0]), 5)).toMatchObject({ type: 'DISCONNECT', reasonCode: 0 })
    expect(decode(Buffer.from([0xe0, 1, 4]), 5)).toMatchObject({ type: 'DISCONNECT', reasonCode: 4, sessionExpiryInterval: undefined })
    expect(
      decode(generate({ cmd: 'disconnect', reasonCode: 4, properties: { sessionExpiryInterval: 0, reasonString: 'bye' } }, { protocolVersion: 5 }), 5)
    ).toMatchObject({ reasonCode: 4, sessionExpiryInterval: 0, reasonString: 'bye' })
    expect(
      decode(
        generate(
          { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d') } },
          { protocolVersion: 5 }
        ),
        5
      )
    ).toMatchObject({ type: 'AUTH', reasonCode: 0x18, authenticationMethod: 'm', authenticationData: Buffer.from('d') })
  })

  test.each([
    ['SUBSCRIBE without its flag', packet(0x80, [0, 1, 0], text('a'), [0]), 5, 0x81],
    ['SUBSCRIBE with packet identifier 0', packet(0x82, [0, 0, 0], text('a'), [0]), 5, 0x81],
    ['SUBSCRIBE without a filter', packet(0x82, [0, 1, 0]), 5, 0x82],
    ['SUBSCRIBE with QoS 3', packet(0x82, [0, 1, 0], text('a'), [3]), 5, 0x81],
    ['SUBSCRIBE with reserved options', packet(0x82, [0, 1, 0], text('a'), [0x40]), 5, 0x81],
    ['SUBSCRIBE with retain handling 3', packet(0x82, [0, 1, 0], text('a'), [0x30]), 5, 0x81],
    ['SUBSCRIBE of MQTT 3 with options of MQTT 5', packet(0x82, [0, 1], text('a'), [4]), 4, 0x81],
    ['SUBSCRIBE, shared and no-local', packet(0x82, [0, 1, 0], text('$share/g/a'), [4]), 5, 0x82],
    ['SUBSCRIBE with subscription identifier 0', packet(0x82, [0, 1, 2, 11, 0], text('a'), [0]), 5, 0x82],
    ['SUBSCRIBE with a filter that is cut short', packet(0x82, [0, 1, 0, 0, 9, 97]), 5, 0x81],
    ['SUBSCRIBE with a filter that is not UTF-8', packet(0x82, [0, 1, 0], text(Buffer.from([0xff])), [0]), 5, 0x81],
    ['UNSUBSCRIBE without its flag', packet(0xa0, [0, 1, 0], text('a')), 5, 0x81],
    ['UNSUBSCRIBE without a filter', packet(0xa2, [0, 1, 0]), 5, 0x82],
    ['PINGREQ with content', packet(0xc0, [1]), 5, 0x81],
    ['DISCONNECT with flags', packet(0xe1), 5, 0x81],
    ['DISCONNECT with content in MQTT 3', packet(0xe0, [0]), 4, 0x81],
    ['DISCONNECT with a reason of servers', packet(0xe0, [0x8e]), 5, 0x82],
    ['AUTH in MQTT 3', packet(0xf0), 4, 0x81],
    ['AUTH with another reason', packet(0xf0, [0x80]), 5, 0x82],
    ['CONNACK', packet(0x20, [0, 0]), 4, 0x82],
    ['SUBACK', packet(0x90, [0, 1, 0]), 4, 0x82],
    ['packet type 0', packet(0x00), 5, 0x82]
  ] as const)('are refused: %s', (_name, bytes, version, reason) => {
    expect(reasonOf(() => decode(bytes, version))).toBe(reason)
  })

  test('are read again after one that could not be', () => {
    expect(reasonOf(() => decode(packet(0x82, [0, 1, 0]), 5))).toBe(0x82)
    expect(decode(generate({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a'] }, { protocolVersion: 5 }), 5)).toMatchObject({
      filters: ['a']
    })
  })
})

describe('the packets of the server', () => {
  test('are written so that the general codec reads them', () => {
    expect(reference(encodeConnack(4, true, 0), 4)).toMatchObject({ cmd: 'connack', sessionPresent: true, returnCode: 0 })
    const properties = {
      sessionExpiryInterval: 1,
      receiveMaximum: 2,
      maximumPacketSize: 3,
      assignedClientIdentifier: 'id',
      topicAliasMaximum: 4,
      reasonString: 'why',
      serverKeepAlive: 5,
      responseInformation: 'r',
      authenticationMethod: 'm',
      authenticationData: Buffer.from('d')
    }
    expect(reference(encodeConnack(5, false, 0x87, { ...properties, userProperties: [['a', 'b']] }), 5)).toMatchObject({
      reasonCode: 0x87,
      sessionPresent: false,
      properties: { ...properties, userProperties: { a: 'b' } }
    })
    expect(reference(encodeSubscriptionAcknowledgement(4, 9, 7, [0, 1, 0x80]), 4)).toMatchObject({
      cmd: 'suback',
      messageId: 7,
      granted: [0, 1, 0x80]
    })
    expect(reference(encodeSubscriptionAcknowledgement(5, 9, 7, [0x8f, 2], 'bad'), 5)).toMatchObject({
      granted: [0x8f, 2],
      properties: { reasonString: 'bad' }
    })
    expect(reference(encodeSubscriptionAcknowledgement(4, 11, 7, [0]), 4)).toMatchObject({ cmd: 'unsuback', messageId: 7 })
    expect(reference(encodeSubscriptionAcknowledgement(5, 11, 7, [0, 0x11]), 5)).toMatchObject({ cmd: 'unsuback', granted: [0, 0x11] })
    expect(reference(encodeDisconnect(0x8e, 'taken'), 5)).toMatchObject({
      cmd: 'disconnect',
      reasonCode: 0x8e,
      properties: { reasonString: 'taken' }
    })
    expect(reference(encodeAuth(0x18, 'm', Buffer.from('d')), 5)).toMatchObject({
      cmd: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d') }
    })
  })
})
