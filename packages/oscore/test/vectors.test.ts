// The test vectors of RFC 8613 appendix C.
import type { MessageOption, PlainMessage } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { protectingTo } from '../src/client/request-protecting.ts'
import { ContextTable } from '../src/contexts/context-table.ts'
import { FixedContext } from '../src/contexts/fixed-context.ts'
import { SecurityContext } from '../src/contexts/security-context.ts'
import { FreshNumbers } from '../src/contexts/sequence-numbers.ts'
import { ALGORITHMS } from '../src/crypto/algorithms.ts'
import { derivationInfo, deriveKeys, type KeyInput } from '../src/crypto/key-derivation.ts'
import { authenticatedData, Nonces } from '../src/crypto/nonce.ts'
import { decodePlaintext, encodePlaintext } from '../src/messages/plaintext.ts'
import { OpenedOscoreRequest } from '../src/server/opened-request.ts'
import { hex, toHex } from './bytes.ts'

const algorithm = ALGORITHMS['AES-CCM-16-64-128']
const SECRET = hex('0102030405060708090a0b0c0d0e0f10')
const SALT = hex('9e7ca92223786340')
const ID_CONTEXT = hex('37cbf3210017a2d3')

const input = (senderId: string, recipientId: string, masterSalt: Uint8Array, idContext?: Uint8Array): KeyInput => ({
  algorithm,
  masterSecret: SECRET,
  masterSalt,
  senderId: hex(senderId),
  recipientId: hex(recipientId),
  idContext
})
const NO_SALT = new Uint8Array(0)

const DERIVATIONS = [
  {
    name: 'C.1, with a master salt',
    client: input('', '01', SALT),
    infos: ['8540f60a634b657910', '854101f60a634b657910', '8540f60a6249560d'],
    keys: ['f0910ed7295e6ad4b54fc793154302ff', 'ffb14e093c94c9cac9471648b4f98710', '4622d4dd6d944168eefb54987c'],
    nonces: ['4622d4dd6d944168eefb54987c', '4722d4dd6d944169eefb54987c']
  },
  {
    name: 'C.2, without a master salt',
    client: input('00', '01', NO_SALT),
    infos: ['854100f60a634b657910', '854101f60a634b657910', '8540f60a6249560d'],
    keys: ['321b26943253c7ffb6003b0b64d74041', 'e57b5635815177cd679ab4bcec9d7dda', 'be35ae297d2dace910c52e99f9'],
    nonces: ['bf35ae297d2dace910c52e99f9', 'bf35ae297d2dace810c52e99f9']
  },
  {
    name: 'C.3, with an ID context',
    client: input('', '01', SALT, ID_CONTEXT),
    infos: ['85404837cbf3210017a2d30a634b657910', '8541014837cbf3210017a2d30a634b657910', '85404837cbf3210017a2d30a6249560d'],
    keys: ['af2a1300a5e95788b356336eeecd2b92', 'e39a0c7c77b43f03b4b39ab9a268699f', '2ca58fb85ff1b81c0b7181b85e'],
    nonces: ['2ca58fb85ff1b81c0b7181b85e', '2da58fb85ff1b81d0b7181b85e']
  }
] as const

const mirrored = (keys: KeyInput): KeyInput => ({ ...keys, senderId: keys.recipientId, recipientId: keys.senderId })

describe.each(DERIVATIONS)('key derivation, $name', ({ client, infos, keys, nonces }) => {
  test('has these infos', () => {
    expect(toHex(derivationInfo(client.senderId, client.idContext, algorithm, 'Key', 16))).toBe(infos[0])
    expect(toHex(derivationInfo(client.recipientId, client.idContext, algorithm, 'Key', 16))).toBe(infos[1])
    expect(toHex(derivationInfo(NO_SALT, client.idContext, algorithm, 'IV', 13))).toBe(infos[2])
  })

  test('gives these keys to the client, and to the server the same ones mirrored', () => {
    const derived = deriveKeys(client)
    expect([derived.senderKey, derived.recipientKey, derived.commonIv].map(toHex)).toEqual(keys)
    const server = deriveKeys(mirrored(client))
    expect([server.recipientKey, server.senderKey, server.commonIv].map(toHex)).toEqual(keys)
  })

  test('gives these nonces for a Partial IV of zero', () => {
    const { commonIv } = deriveKeys(client)
    expect([client.senderId, client.recipientId].map(id => toHex(new Nonces(commonIv, id).of(Uint8Array.of(0))))).toEqual(nonces)
  })
})

const NOBODY = { id: 'peer' }
const setup = (keys: KeyInput, first: number): ConstructorParameters<typeof SecurityContext>[0] => ({
  keys,
  user: NOBODY,
  numbers: new FreshNumbers(first),
  kidContext: keys.idContext,
  fresh: true
})

/** A message without its header of four bytes and its token of four bytes: the vectors keep those. */
const decoded = (bytes: string): PlainMessage => decodePlaintext(Buffer.concat([hex(bytes).subarray(1, 2), hex(bytes).subarray(8)]))!
const encoded = ({ code, options, payload }: PlainMessage, plain: string): string => {
  const bytes = encodePlaintext(code, options, payload)
  return `${plain.slice(0, 2)}${toHex(bytes.subarray(0, 1))}${plain.slice(4, 16)}${toHex(bytes.subarray(1))}`
}

const REQUESTS = [
  {
    name: 'C.4',
    keys: DERIVATIONS[0].client,
    plain: '44015d1f00003974396c6f63616c686f737483747631',
    aad: '8368456e63727970743040488501810a40411440',
    nonce: '4622d4dd6d944168eefb549868',
    option: '0914',
    protected: '44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e'
  },
  {
    name: 'C.5',
    keys: DERIVATIONS[1].client,
    plain: '440171c30000b932396c6f63616c686f737483747631',
    aad: '8368456e63727970743040498501810a4100411440',
    nonce: 'bf35ae297d2dace910c52e99ed',
    option: '091400',
    protected: '440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0'
  },
  {
    name: 'C.6',
    keys: DERIVATIONS[2].client,
    plain: '44012f8eef9bbf7a396c6f63616c686f737483747631',
    aad: '8368456e63727970743040488501810a40411440',
    nonce: '2ca58fb85ff1b81c0b7181b84a',
    option: '19140837cbf3210017a2d3',
    protected: '44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3'
  }
] as const

const optionOf = (message: PlainMessage): string => toHex(message.options.find(([number]: MessageOption) => number === 9)![1])

describe.each(REQUESTS)('request $name', ({ keys, plain, aad, nonce, option, protected: expected }) => {
  test('has this AAD and this nonce', () => {
    expect(toHex(authenticatedData(algorithm, keys.senderId, Uint8Array.of(20)))).toBe(aad)
    expect(toHex(new Nonces(deriveKeys(keys).commonIv, keys.senderId).of(Uint8Array.of(20)))).toBe(nonce)
  })

  test('is protected as this message', async () => {
    const { message } = await protectingTo(new FixedContext(setup(keys, 20))).protect(decoded(plain))
    expect(optionOf(message)).toBe(option)
    expect(encoded(message, plain)).toBe(expected)
  })

  test('is opened by the server', () => {
    const source = new FixedContext(setup(mirrored(keys), 0))
    expect(new ContextTable([source]).find(keys.senderId)).toEqual([source])
    const context = source.sending()
    const message = decoded(expected)
    const opened = context.unseal(context.peerNonce(Uint8Array.of(20)), hex(aad), message.payload)
    expect(toHex(opened!)).toBe('01b3747631')
  })
})

describe('response', () => {
  const NONE = { protect: () => Promise.reject(new Error('no requests here')) }
  const plain = '64455d1f00003974ff48656c6c6f20576f726c6421'
  const server = (): OpenedOscoreRequest =>
    new OpenedOscoreRequest(new SecurityContext(setup(mirrored(DERIVATIONS[0].client), 0)), Uint8Array.of(20), decoded(REQUESTS[0].plain), NONE)

  test('C.7 has the nonce of the request', () => {
    const message = server().protect(decoded(plain), 'response') as PlainMessage
    expect(optionOf(message)).toBe('')
    expect(encoded(message, plain)).toBe('64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106')
  })

  test('C.8 has a Partial IV', () => {
    const message = server().protect(decoded(plain), 'notification') as PlainMessage
    expect(optionOf(message)).toBe('0100')
    expect(encoded(message, plain)).toBe('64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e')
  })

  test.each([
    ['C.7', '64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106'],
    ['C.8', '64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e']
  ])('%s is opened by the client', async (_, bytes) => {
    const sent = await protectingTo(new FixedContext(setup(DERIVATIONS[0].client, 20))).protect(decoded(REQUESTS[0].plain))
    expect(await sent.open(decoded(bytes))).toEqual(decoded(plain))
  })
})
