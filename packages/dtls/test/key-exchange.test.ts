import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decodeEcdhParameters, decodePoint, encodeEcdhParameters, encodePoint } from '../src/key-exchange/ecdh-parameters.ts'
import { ephemeralKey, NAMED_GROUPS, SECP256R1, X25519 } from '../src/key-exchange/named-groups.ts'
import { chooseSignature, isSigned, signed } from '../src/key-exchange/signatures.ts'

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
      expect(key.agree(off)).toBeUndefined()
    }
    expect(key.agree(Buffer.concat([Buffer.from([4]), Buffer.alloc(64)]))).toBeUndefined()
    // Coordinates that are not below the prime.
    expect(key.agree(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 255)]))).toBeUndefined()
  })

  test('refuses the point at infinity, compressed and hybrid points, and other lengths', () => {
    const key = ephemeralKey(SECP256R1)
    const peer = ephemeralKey(SECP256R1).publicKey
    const compressed = Buffer.concat([Buffer.from([2 + ((peer[64] as number) & 1)]), peer.subarray(1, 33)])
    const hybrid = Buffer.concat([Buffer.from([6 + ((peer[64] as number) & 1)]), peer.subarray(1)])
    for (const point of [Buffer.from([0]), compressed, hybrid, peer.subarray(0, 64), Buffer.concat([peer, Buffer.from([0])]), Buffer.alloc(0)])
      expect(key.agree(point)).toBeUndefined()
  })

  test('refuses points of small order in X25519', () => {
    const key = ephemeralKey(X25519)
    const order8 = Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex')
    for (const point of [Buffer.alloc(32), Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]), order8]) expect(key.agree(point)).toBeUndefined()
    expect(key.agree(Buffer.alloc(31, 9))).toBeUndefined()
  })
})

describe('Parameters of a server', () => {
  const bytes = encodeEcdhParameters(SECP256R1, ephemeralKey(SECP256R1).publicKey)

  test('are read from the beginning', () => {
    const read = decodeEcdhParameters(Buffer.concat([bytes, Buffer.from([1, 2, 3])]))
    expect(read?.group).toBe(SECP256R1)
    expect(read?.bytes).toEqual(bytes)
  })

  test('are refused at each length that does not fit, and for a group or form that was not offered', () => {
    for (let length = 0; length < bytes.length; length++) expect(decodeEcdhParameters(bytes.subarray(0, length))).toBeUndefined()
    expect(decodeEcdhParameters(Buffer.from([3, 0, 24, 1, 4]))).toBeUndefined()
    expect(decodeEcdhParameters(Buffer.from([1, 0, 23, 1, 4]))).toBeUndefined()
    expect(decodeEcdhParameters(Buffer.from([3, 0, 23, 0]))).toBeUndefined()
  })

  test('have one point in the answer, and nothing behind it', () => {
    expect(decodePoint(encodePoint(Buffer.from([4, 5])))).toEqual(Buffer.from([4, 5]))
    for (const wrong of [[], [0], [1], [2, 4], [1, 4, 5]]) expect(decodePoint(Buffer.from(wrong))).toBeUndefined()
  })
})

describe('A signature', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const message = Buffer.from('randoms and parameters')
  const bytes = signed(message, privateKey)

  test('proves the key over the message', () => {
    expect(isSigned(bytes, message, publicKey)).toBe(true)
    expect(isSigned(bytes, Buffer.from('other parameters'), publicKey)).toBe(false)
    expect(isSigned(bytes, message, generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey)).toBe(false)
  })

  test('is refused with any bit changed, cut or followed', () => {
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ 1
      expect(isSigned(changed, message, publicKey)).not.toBe(true)
      expect(isSigned(bytes.subarray(0, index), message, publicKey)).toBeUndefined()
    }
    expect(isSigned(Buffer.concat([bytes, Buffer.from([0])]), message, publicKey)).toBeUndefined()
  })

  test('is made only with a scheme that the peer takes', () => {
    expect(chooseSignature([0x0601, 0x0403])).toBe(0x0403)
    expect(chooseSignature([0x0401, 0x0203])).toBeUndefined()
  })
})
