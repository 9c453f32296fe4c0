// mqtt-packet, the codec of MQTT.js, as a peer: what it and ours both take, both read the same. Where ours is stricter, the clause is listed.
import fc from 'fast-check'
import { generate, type Packet, parser } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { FrameGuard } from '../src/codec/frame-guard.ts'
import { decodeMessageProperties, type MessageProperties } from '../src/codec/message-properties.ts'
import { PacketDecoder } from '../src/codec/packet-decoder.ts'
import { PACKET } from '../src/codec/packet-types.ts'
import type { ClientPacket, UserProperties } from '../src/codec/packets.ts'
import { ProtocolError } from '../src/codec/protocol-error.ts'
import { decodeServerPacket, type ServerPacket } from '../src/codec/server-decoder.ts'

type Fields = Record<string, unknown>

/** Refusals of ours that mqtt-packet has not, and what they stand on (MQTT 5). */
const STRICTER: readonly (readonly [message: RegExp, clause: string])[] = [
  [/^a string is not UTF-8 or holds U\+0000$/, '[MQTT-1.5.4-1], [MQTT-1.5.4-2]'],
  [/^a variable byte integer is longer than it needs to be$/, '[MQTT-1.5.5-1]'],
  [/^a variable byte integer has more than four bytes$/, '1.5.5'],
  [/^the packet is shorter than its fields$/, '4.13, a malformed packet'],
  [/^the packet is longer than its fields$/, '4.13, a malformed packet'],
  [/^the properties are longer than the packet$/, '2.2.2.1'],
  [/^a property is longer than the properties$/, '2.2.2.1'],
  [/^property \d+ does not belong in this packet$/, '2.2.2.2'],
  [/^property \d+ appears twice$/, '2.2.2.2, and the section of each property'],
  [/^property \d+ is out of range$/, 'the section of each property'],
  [/^property \d+ must not be 0$/, 'the section of each property'],
  [/^a packet has packet identifier 0$/, '[MQTT-2.2.1-3], [MQTT-2.2.1-4]'],
  [/^the flags of the fixed header are not those of this packet$/, '[MQTT-2.1.3-1]'],
  [/^an? (SUBSCRIBE|UNSUBSCRIBE) has no topic filter$/, '[MQTT-3.8.3-2], [MQTT-3.10.3-2]'],
  [/^the options of a subscription are not valid$/, '[MQTT-3.8.3-5], 3.8.3.1'],
  [/^a shared subscription cannot be no-local$/, '[MQTT-3.8.3-4]'],
  [/^the reserved connect flag is set$/, '[MQTT-3.1.2-3]'],
  [/^a will has QoS 3$/, '[MQTT-3.1.2-12]'],
  [/^there is no will, but it has a QoS or is retained$/, '[MQTT-3.1.2-11], [MQTT-3.1.2-13]'],
  [/^a password comes without a user name$/, '[MQTT-3.1.2-22] of 3.1.1'],
  [/^authentication data comes without a method$/, '3.1.2.11.10'],
  [/^this server speaks MQTT 3.1, 3.1.1 and 5$/, '[MQTT-3.1.2-1], [MQTT-3.1.2-2]'],
  [/^reason code \d+ is not for a client$/, '[MQTT-3.14.2-1], 3.15.2.1'],
  [/^a (PINGREQ|PINGRESP|DISCONNECT) has content$/, '3.12, 3.13; 3.14 of 3.1.1'],
  [/^AUTH exists in MQTT 5 only$/, '2.1.2 of 3.1.1'],
  [/^a PUBLISH of QoS 0 is marked as a duplicate$/, '[MQTT-3.3.1-2]'],
  [/^a PUBLISH has QoS 3$/, '[MQTT-3.3.1-4]'],
  [/^a PUBLISH has no topic$/, '[MQTT-3.3.2-8]: this client takes no aliases'],
  [/^this client takes no topic aliases$/, '[MQTT-3.3.2-9]'],
  [/^a reserved flag of a CONNACK is set$/, '[MQTT-3.2.2-1]'],
  [/^packet type \d+ is not for (this client|a server)$/, '4.13, a protocol error']
]

/** Refusals of mqtt-packet that ours has not, and why. */
const LAXER: readonly (readonly [message: RegExp, reason: string])[] = [
  [/^Invalid auth reason code$/, 'an AUTH without content is success (3.15.2.1), which the handshake refuses'],
  [
    /^Invalid (disconnect|puback|pubrec|pubrel|pubcomp|suback|unsuback) (reason )?code$/,
    'a code of a server that is new says by its top bit whether it fails (2.4)'
  ],
  [/^Invalid suback QoS, must be 0, 1, 2 or 128$/, 'the same in MQTT 3.1.1']
]

/** The one packet in these bytes as mqtt-packet reads it, or why it does not. */
const library = (bytes: Buffer, protocolVersion: number): { packet: Fields } | { error: string } => {
  let result: { packet: Fields } | { error: string } = { error: 'no packet' }
  const reader = parser({ protocolVersion })
  reader.on('packet', packet => {
    result = { packet: packet as unknown as Fields }
  })
  reader.on('error', error => {
    result = { error: error.message }
  })
  try {
    reader.parse(bytes)
  } catch (error) {
    return { error: String(error) }
  }
  return result
}

const ours = <P>(bytes: Buffer, read: (bytes: Buffer, start: number, body: number, end: number) => P): { packet: P } | { error: string } => {
  let packet: P | undefined
  try {
    new FrameGuard(1 << 28, (chunk, start, body, end) => {
      packet = read(chunk, start, body, end)
      return true
    }).push(bytes)
  } catch (error) {
    if (error instanceof ProtocolError) return { error: error.message }
    throw error
  }
  if (packet === undefined) throw new Error('no whole packet')
  return { packet }
}

const hex = (bytes: unknown): string | undefined =>
  bytes === undefined || bytes === null ? undefined : Buffer.from(bytes as Uint8Array).toString('hex')

/** Properties without those that say nothing, and user properties by name. */
const plain = (properties: Fields | undefined): Fields => {
  const entries = Object.entries(properties ?? {}).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Uint8Array ? hex(value) : name === 'userProperties' ? { ...(value as Fields) } : value])
  )
}

const byName = (pairs: UserProperties | undefined): Fields | undefined => {
  if (pairs === undefined || pairs.length === 0) return undefined
  const named: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of pairs) {
    const known = named[name]
    // mqtt-packet loses an empty value where the name repeats.
    named[name] = known === undefined || known === '' ? value : [...(typeof known === 'string' ? [known] : known), value]
  }
  return { ...named }
}

const messageProperties = ({ userProperties, ...others }: MessageProperties): Fields => ({ ...others, userProperties: byName(userProperties) })

/** A client's packet of ours in the form of mqtt-packet; `undefined` stays out. */
const clientForm = (packet: ClientPacket): Fields => {
  switch (packet.type) {
    case 'CONNECT': {
      const { will } = packet
      const five = packet.protocolVersion === 5
      return {
        cmd: 'connect',
        protocolVersion: packet.protocolVersion,
        clean: packet.cleanStart,
        keepalive: packet.keepAlive,
        clientId: packet.clientId,
        username: packet.userName ?? undefined,
        password: hex(packet.password),
        will: will && {
          topic: will.topic,
          payload: hex(will.payload),
          qos: will.qos,
          retain: will.retain,
          properties: plain({
            ...messageProperties(decodeMessageProperties(will.properties)),
            willDelayInterval: will.delayInterval || undefined,
            messageExpiryInterval: will.messageExpiryInterval < 0 ? undefined : will.messageExpiryInterval
          })
        },
        properties: plain(
          five
            ? {
                sessionExpiryInterval: packet.sessionExpiryInterval,
                receiveMaximum: packet.receiveMaximum === 65_535 ? undefined : packet.receiveMaximum,
                maximumPacketSize: Number.isFinite(packet.maximumPacketSize) ? packet.maximumPacketSize : undefined,
                topicAliasMaximum: packet.topicAliasMaximum || undefined,
                requestResponseInformation: packet.requestResponseInformation || undefined,
                requestProblemInformation: packet.requestProblemInformation ? undefined : false,
                authenticationMethod: packet.authenticationMethod,
                authenticationData: packet.authenticationData,
                userProperties: byName(packet.userProperties)
              }
            : {}
        )
      }
    }
    case 'SUBSCRIBE':
      return {
        cmd: 'subscribe',
        messageId: packet.packetId,
        subscriptions: packet.subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
          topic: filter,
          qos,
          nl: noLocal,
          rap: retainAsPublished,
          rh: retainHandling
        })),
        properties: plain({ subscriptionIdentifier: packet.subscriptionIdentifier || undefined, userProperties: byName(packet.userProperties) })
      }
    case 'UNSUBSCRIBE':
      return {
        cmd: 'unsubscribe',
        messageId: packet.packetId,
        unsubscriptions: packet.filters,
        properties: plain({ userProperties: byName(packet.userProperties) })
      }
    case 'DISCONNECT':
      return {
        cmd: 'disconnect',
        reasonCode: packet.reasonCode,
        properties: plain({
          sessionExpiryInterval: packet.sessionExpiryInterval,
          reasonString: packet.reasonString || undefined,
          userProperties: byName(packet.userProperties)
        })
      }
    case 'AUTH':
      return {
        cmd: 'auth',
        reasonCode: packet.reasonCode,
        properties: plain({
          authenticationMethod: packet.authenticationMethod,
          authenticationData: packet.authenticationData,
          userProperties: byName(packet.userProperties)
        })
      }
    default:
      return { cmd: 'pingreq' }
  }
}

/** The same of a server's packet. */
const serverForm = (packet: ServerPacket): Fields => {
  switch (packet.type) {
    case PACKET.CONNACK:
      return {
        cmd: 'connack',
        sessionPresent: packet.sessionPresent,
        code: packet.reasonCode,
        properties: plain({ ...packet.properties })
      }
    case PACKET.PUBLISH: {
      const [first, ...more] = packet.subscriptionIdentifiers
      return {
        cmd: 'publish',
        topic: packet.topic,
        payload: hex(packet.payload),
        qos: packet.qos,
        retain: packet.retain,
        dup: packet.dup,
        messageId: packet.packetId || undefined,
        properties: plain({
          ...messageProperties(packet.properties),
          messageExpiryInterval: packet.messageExpiryInterval,
          subscriptionIdentifier: first === undefined ? undefined : more.length === 0 ? first : packet.subscriptionIdentifiers
        })
      }
    }
    case PACKET.PINGRESP:
      return { cmd: 'pingresp' }
    case PACKET.DISCONNECT:
      return {
        cmd: 'disconnect',
        reasonCode: packet.reasonCode,
        properties: plain({ reasonString: packet.reasonString || undefined, serverReference: packet.serverReference || undefined })
      }
    default:
      return {
        cmd: { 4: 'puback', 5: 'pubrec', 6: 'pubrel', 7: 'pubcomp', 9: 'suback', 11: 'unsuback' }[packet.type],
        messageId: packet.packetId,
        codes: packet.reasonCodes,
        properties: plain({ reasonString: packet.reasonString || undefined, userProperties: byName(packet.userProperties) })
      }
  }
}

/** A packet of mqtt-packet without what ours does not keep, and without what says nothing. */
const libraryForm = (packet: Fields, version: number): Fields => {
  const { cmd } = packet
  const given = (packet['properties'] ?? {}) as Fields
  const kept = { ...given }
  const form: Fields = { cmd }
  const take = (...names: string[]): void => {
    for (const name of names) form[name] = packet[name]
  }
  // What says the same as its absence.
  const drop = (name: string, value?: unknown): void => {
    if (value === undefined || kept[name] === value) delete kept[name]
  }
  switch (cmd) {
    case 'connect': {
      take('protocolVersion', 'clean', 'keepalive', 'clientId', 'username')
      form['password'] = hex(packet['password'])
      const will = packet['will'] as Fields | undefined
      const said = { ...((will?.['properties'] ?? {}) as Fields) }
      if (said['willDelayInterval'] === 0) delete said['willDelayInterval']
      form['will'] = will
        ? { topic: will['topic'], payload: hex(will['payload']), qos: will['qos'], retain: will['retain'], properties: plain(said) }
        : null
      drop('receiveMaximum', 65_535)
      drop('topicAliasMaximum', 0)
      drop('requestResponseInformation', false)
      drop('requestProblemInformation', true)
      break
    }
    case 'subscribe':
      take('messageId')
      form['subscriptions'] = (packet['subscriptions'] as Fields[]).map(({ topic, qos, nl = false, rap = false, rh = 0 }) => ({
        topic,
        qos,
        nl,
        rap,
        rh
      }))
      break
    case 'unsubscribe':
      take('messageId', 'unsubscriptions')
      break
    case 'disconnect':
      form['reasonCode'] = packet['reasonCode'] ?? 0
      drop('reasonString', '')
      break
    case 'auth':
      form['reasonCode'] = packet['reasonCode'] ?? 0
      drop('reasonString')
      break
    case 'connack':
      form['sessionPresent'] = packet['sessionPresent']
      form['code'] = version === 5 ? (packet['reasonCode'] ?? packet['returnCode']) : packet['returnCode']
      for (const name of [
        'sessionExpiryInterval',
        'topicAliasMaximum',
        'reasonString',
        'userProperties',
        'authenticationMethod',
        'authenticationData'
      ])
        drop(name)
      if ('maximumQoS' in kept) {
        kept['maximumQos'] = kept['maximumQoS']
        delete kept['maximumQoS']
      }
      break
    case 'publish':
      take('topic', 'qos', 'retain', 'dup', 'messageId')
      form['payload'] = hex(packet['payload'])
      break
    case 'pingreq':
    case 'pingresp':
      return form
    default:
      take('messageId')
      form['codes'] = packet['granted'] ?? (cmd === 'unsuback' ? [] : [packet['reasonCode'] ?? 0])
      drop('reasonString', '')
  }
  if (cmd === 'disconnect' && 'serverReference' in kept) drop('userProperties')
  form['properties'] = plain(kept)
  return form
}

const word = fc.stringMatching(/^[a-zä/+#$]{0,8}$/)
const name = fc.stringMatching(/^[a-zä/]{1,8}$/)
const bytes = fc.uint8Array({ maxLength: 8 }).map(Buffer.from)
const userProperties = fc.dictionary(fc.constantFrom('a', 'b', 'status'), fc.oneof(word, fc.array(word, { minLength: 2, maxLength: 3 })), {
  noNullPrototype: true,
  minKeys: 1
})
const some = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Fields> => fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Fields>
const messageId = fc.integer({ min: 1, max: 65_535 })
const reasonCode = fc.constantFrom(0, 0x10, 0x80, 0x83, 0x87, 0x97)
const message = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: fc.nat(),
  contentType: name,
  responseTopic: name,
  correlationData: bytes,
  userProperties
}

const fromClient: fc.Arbitrary<Fields> = fc.oneof(
  fc
    .record({
      version: fc.constantFrom(['MQIsdp', 3], ['MQTT', 4], ['MQTT', 5]),
      clean: fc.boolean(),
      clientId: name,
      keepalive: fc.integer({ min: 0, max: 65_535 }),
      user: fc.option(fc.tuple(word, bytes)),
      will: fc.option(
        fc.record({
          topic: name,
          payload: bytes,
          qos: fc.constantFrom(0, 1, 2),
          retain: fc.boolean(),
          properties: some({ willDelayInterval: fc.nat(), ...message })
        })
      ),
      properties: some({
        sessionExpiryInterval: fc.nat(),
        receiveMaximum: messageId,
        maximumPacketSize: fc.integer({ min: 1, max: 2 ** 31 }),
        topicAliasMaximum: messageId,
        requestResponseInformation: fc.boolean(),
        requestProblemInformation: fc.boolean(),
        authenticationMethod: name,
        userProperties
      })
    })
    .map(({ version: [protocolId, protocolVersion], user, will, properties, ...fields }) => ({
      cmd: 'connect',
      protocolId,
      protocolVersion,
      ...fields,
      ...(user ? { username: user[0], password: user[1] } : {}),
      ...(will ? { will: protocolVersion === 5 ? will : { ...will, properties: undefined } } : {}),
      ...(protocolVersion === 5 ? { properties } : {})
    })),
  fc.record({
    cmd: fc.constant('subscribe'),
    messageId,
    subscriptions: fc.array(
      fc.record({ topic: name, qos: fc.constantFrom(0, 1, 2), nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) }),
      {
        minLength: 1,
        maxLength: 3
      }
    ),
    properties: some({ subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }), userProperties })
  }),
  fc.record({
    cmd: fc.constant('unsubscribe'),
    messageId,
    unsubscriptions: fc.array(name, { minLength: 1, maxLength: 3 }),
    properties: some({ userProperties })
  }),
  fc.record({
    cmd: fc.constant('disconnect'),
    reasonCode: fc.constantFrom(0, 4, 0x80),
    properties: some({ sessionExpiryInterval: fc.nat(), reasonString: name, userProperties })
  }),
  fc.record({
    cmd: fc.constant('auth'),
    reasonCode: fc.constantFrom(0x18, 0x19),
    properties: fc.record({ authenticationMethod: name, authenticationData: bytes })
  }),
  fc.constant({ cmd: 'pingreq' })
)

const fromServer: fc.Arbitrary<Fields> = fc.oneof(
  fc
    .record({
      cmd: fc.constant('connack'),
      sessionPresent: fc.boolean(),
      code: fc.constantFrom(0, 0x84, 0x9c),
      properties: some({
        sessionExpiryInterval: fc.nat(),
        receiveMaximum: messageId,
        maximumQoS: fc.constantFrom(0, 1),
        retainAvailable: fc.boolean(),
        maximumPacketSize: fc.integer({ min: 1, max: 2 ** 31 }),
        assignedClientIdentifier: name,
        topicAliasMaximum: messageId,
        reasonString: name,
        userProperties,
        wildcardSubscriptionAvailable: fc.boolean(),
        subscriptionIdentifiersAvailable: fc.boolean(),
        sharedSubscriptionAvailable: fc.boolean(),
        serverKeepAlive: messageId,
        responseInformation: name,
        serverReference: name
      })
    })
    .map(({ code, ...fields }) => ({ ...fields, reasonCode: code, returnCode: code })),
  fc
    .record({
      cmd: fc.constant('publish'),
      topic: name,
      payload: bytes,
      qos: fc.constantFrom(0, 1, 2),
      retain: fc.boolean(),
      dup: fc.boolean(),
      messageId,
      properties: some({ ...message, subscriptionIdentifier: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }) })
    })
    .map(fields => ({ ...fields, dup: fields.dup && fields.qos > 0 })),
  fc
    .record({
      cmd: fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp'),
      messageId,
      reasonCode,
      properties: some({ reasonString: name, userProperties })
    })
    .map(fields => ({
      ...fields,
      reasonCode: fields.cmd === 'pubrel' || fields.cmd === 'pubcomp' ? 0 : fields.reasonCode
    })),
  fc.record({
    cmd: fc.constantFrom('suback', 'unsuback'),
    messageId,
    granted: fc.array(fc.constantFrom(0, 0x80, 0x87), { minLength: 1, maxLength: 3 }),
    properties: some({ reasonString: name, userProperties })
  }),
  fc.record({
    cmd: fc.constant('disconnect'),
    reasonCode: fc.constantFrom(0, 0x8e, 0x9c),
    properties: some({ reasonString: name, serverReference: name })
  }),
  fc.constant({ cmd: 'pingresp' })
)

/** A change of the bytes behind the length: set, insert or remove one, or cut the rest off. */
const change = fc.tuple(fc.constantFrom('set', 'insert', 'remove', 'cut'), fc.nat(), fc.integer({ min: 0, max: 255 }))

const changed = (original: Buffer, changes: readonly (readonly [string, number, number])[]): Buffer => {
  let body = 1
  while ((original[body++] as number) > 127);
  const content = [...original.subarray(body)]
  for (const [kind, position, byte] of changes) {
    const at = position % (content.length + 1)
    if (kind === 'set' && at < content.length) content[at] = byte
    else if (kind === 'insert') content.splice(at, 0, byte)
    else if (kind === 'remove') content.splice(at, 1)
    else if (kind === 'cut') content.length = at
  }
  const size = content.length
  const length = size < 128 ? [size] : size < 16_384 ? [(size & 127) | 128, size >> 7] : [(size & 127) | 128, ((size >> 7) & 127) | 128, size >> 14]
  return Buffer.from([original[0] as number, ...length, ...content])
}

const decoder = new PacketDecoder(1000)
const RUNS = Number(process.env['IOPA_MUTATIONS'] ?? 1500)

test.each([
  ['clients', fromClient, (raw: Buffer, version: number) => ours(raw, (...frame) => clientForm(decoder.decode(...frame, version)))],
  ['servers', fromServer, (raw: Buffer, version: number) => ours(raw, (...frame) => serverForm(decodeServerPacket(...frame, version)))]
] as const)('reads packets of %s as mqtt-packet does, or refuses them by a clause', (_, packets, read) => {
  const unexplained = new Map<string, string>()
  let both = 0
  fc.assert(
    fc.property(
      packets,
      fc.constantFrom(4, 5),
      fc.oneof(fc.constant([]), fc.array(change, { minLength: 1, maxLength: 3 })),
      (packet, chosen, changes) => {
        if (packet['cmd'] === 'auth' && chosen < 5) return
        const version = (packet['protocolVersion'] as number | undefined) ?? chosen
        const given = version < 5 ? { ...packet, properties: undefined } : packet
        const raw = changed(generate(given as unknown as Packet, { protocolVersion: version }), changes)
        const theirs = library(raw, version)
        const mine = read(raw, version)
        const note = (what: string): void => void (unexplained.has(what) || unexplained.set(what, raw.toString('hex')))
        if ('packet' in mine && 'packet' in theirs) {
          both++
          expect(mine.packet).toEqual(libraryForm(theirs.packet, version))
        } else if ('error' in mine && 'packet' in theirs) {
          if (!STRICTER.some(([message]) => message.test(mine.error))) note(`stricter: ${mine.error}`)
        } else if ('packet' in mine && 'error' in theirs) {
          if (!LAXER.some(([message]) => message.test(theirs.error))) note(`laxer: ${theirs.error} (${packet['cmd']} ${version})`)
        }
      }
    ),
    { numRuns: RUNS }
  )
  expect(Object.fromEntries(unexplained)).toEqual({})
  expect(both).toBeGreaterThan(RUNS / 4)
})
