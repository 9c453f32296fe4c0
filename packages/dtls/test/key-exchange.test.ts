import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { HandshakeFailure } from '../src/alerts.ts'
import { ByteReader } from '../src/bytes.ts'
import { ecdhParameterBytes, readEcdhParameters } from '../src/key-exchange/ecdh-parameters.ts'
import { ephemeralKey, NAMED_GROUPS, SECP256R1, X25519 } from '../src/key-exchange/named-groups.ts'
import { checkSigned, signed } from '../src/key-exchange/signatures.ts'

describe('An ephemeral key', () => {
  test.each(NAMED_GROUPS)('shares a secret in group %i', group => {
    const [one, other] = [ephemeralKey(group), ephemeralKey(group)]
    const secret = one.agree(other.publicKey)
    expect(secret).toHaveLength(32)
    expect(other.agree(one.publicKey)).toEqual(secret)
    expect(ephemeralKey(group).agree(one.publicKey)).not.toEqual(secret)
  })

  test('refuses a point that is not on the curve', () => {
    const key = ephemeralKey(SECP256R1)
    const peer = ephemeralKey(SECP256R1).publicKey
    for (const index of [1, 33, 64]) {
      const off = Buffer.from(peer)
      off[index] = (off[index] as number) ^ 1
      expect(() => key.agree(off)).toThrow('no point of the curve')
    }
    expect(() => key.agree(Buffer.concat([Buffer.from([4]), Buffer.alloc(64)]))).toThrow('no point of the curve')
    // Coordinates that are not below the prime.
    expect(() => key.agree(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 255)]))).toThrow('no point of the curve')
  })

  test('refuses the point at infinity, compressed and hybrid points, and other lengths', () => {
    const key = ephemeralKey(SECP256R1)
    const peer = ephemeralKey(SECP256R1).publicKey
    const compressed = Buffer.concat([Buffer.from([2 + ((peer[64] as number) & 1)]), peer.subarray(1, 33)])
    const hybrid = Buffer.concat([Buffer.from([6 + ((peer[64] as number) & 1)]), peer.subarray(1)])
    for (const point of [Buffer.from([0]), compressed, hybrid, peer.subarray(0, 64), Buffer.concat([peer, Buffer.from([0])]), Buffer.alloc(0)])
      expect(() => key.agree(point)).toThrow('no point of the curve')
  })

  test('refuses points of small order in X25519', () => {
    const key = ephemeralKey(X25519)
    const order8 = Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex')
    for (const point of [Buffer.alloc(32), Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]), order8])
      expect(() => key.agree(point)).toThrow('no point of the curve')
    expect(() => key.agree(Buffer.alloc(31, 9))).toThrow('no point of the curve')
  })
})

describe('Parameters of a server', () => {
  const bytes = ecdhParameterBytes(ephemeralKey(SECP256R1))
  const read = (given: Uint8Array) => readEcdhParameters(new ByteReader(given))

  test('are read from the beginning', () => {
    expect(read(Buffer.concat([bytes, Buffer.from([1, 2, 3])]))).toEqual({ group: SECP256R1, publicKey: bytes.subarray(4) })
  })

  test('are refused at each length that does not fit, and for a group or form that was not offered', () => {
    for (let length = 0; length < bytes.length; length++) expect(() => read(bytes.subarray(0, length))).toThrow(HandshakeFailure)
    expect(() => read(Buffer.from([3, 0, 24, 1, 4]))).toThrow('not offered')
    expect(() => read(Buffer.from([1, 0, 23, 1, 4]))).toThrow('not offered')
    expect(() => read(Buffer.from([3, 0, 23, 0]))).toThrow(HandshakeFailure)
  })
})

describe('A signature', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const message = Buffer.from('randoms and parameters')
  const bytes = signed(message, privateKey)
  const check = (given: Uint8Array, over: Uint8Array = message, key = publicKey) => checkSigned(new ByteReader(given), over, key)

  test('proves the key over the message', () => {
    expect(() => check(bytes)).not.toThrow()
    expect(() => check(bytes, Buffer.from('other parameters'))).toThrow('wrong')
    expect(() => check(bytes, message, generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey)).toThrow('wrong')
  })

  test('is refused with any bit changed, cut or followed', () => {
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ 1
      expect(() => check(changed)).toThrow(HandshakeFailure)
      expect(() => check(bytes.subarray(0, index))).toThrow(HandshakeFailure)
    }
    expect(() => check(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(HandshakeFailure)
  })
})
