import { App } from '@iopa/appbuilder'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memory } from '../src/index.ts'
import { asking, lightsApp, type Told } from './support.ts'

const versionOf = ({ headers }: Told): string => (headers.etag ?? '').slice(1, -2)

describe('conditional requests to a store', () => {
  test('judge GET by the entity tag, which fits CoAP', async () => {
    const { app, ask } = lightsApp({ initial: { hall: { on: false } } })
    const first = await ask('GET', '/lights/hall')
    const etag = first.headers.etag as string
    expect(etag).toMatch(/^"[0-9a-z]{1,7}[a-z]"$/)
    const same = await ask('GET', '/lights/hall', undefined, { 'if-none-match': etag })
    expect(same).toMatchObject({ status: 304, body: undefined, headers: { etag } })
    await ask('PUT', '/lights/hall', { on: true })
    expect((await ask('GET', '/lights/hall', undefined, { 'if-none-match': etag })).status).toBe(200)
    expect((await ask('GET', '/lights/hall', undefined, { 'if-match': etag })).status).toBe(412)
    await app.close()
  })

  test('tell the media types of one version apart', async () => {
    const codec = (mediaType: string) => ({ mediaType, encode: (value: unknown) => JSON.stringify(value), decode: (bytes: Uint8Array) => bytes })
    const { app, ask } = lightsApp({ initial: { hall: { on: false } } }, { codecs: [codec('application/cbor'), codec('application/msgpack')] })
    const types = ['application/json', 'application/cbor', 'application/msgpack']
    const tags: string[] = []
    for (const accept of types) tags.push((await ask('GET', '/lights/hall', undefined, { accept })).headers.etag ?? '')
    for (const [n, accept] of types.entries()) {
      const statuses: number[] = []
      for (const tag of tags) statuses.push((await ask('GET', '/lights/hall', undefined, { accept, 'if-none-match': tag })).status)
      expect(statuses).toEqual(types.map((_, other) => (other === n ? 304 : 200)))
    }
    for (const tag of tags) {
      expect(tag).toMatch(/^"[!-~]{1,8}"$/)
      expect(tag).not.toMatch(/^"(?:[0-9a-f]{2})+"$/)
      expect((await ask('PATCH', '/lights/hall', { on: true }, { 'if-none-match': tag })).status).toBe(412)
    }
    await app.close()
  })

  test.each(['PUT', 'PATCH', 'DELETE'])('judge %s by the version alone, whatever the representation', async method => {
    const { app, ask } = lightsApp({ initial: { hall: { on: false } } })
    const body = method === 'DELETE' ? undefined : { on: true }
    const etag = (await ask('GET', '/lights/hall')).headers.etag as string
    await ask('PUT', '/lights/hall', { on: false, level: 1 })
    expect(await ask(method, '/lights/hall', body, { 'if-match': etag })).toMatchObject({ status: 412, body: { code: 'precondition-failed' } })
    expect((await ask(method, '/lights/hall', body, { 'if-none-match': '*' })).status).toBe(412)
    const now = (await ask('GET', '/lights/hall')).headers.etag as string
    expect((await ask(method, '/lights/hall', body, { 'if-none-match': now.replace(/.(?="$)/, 'c') })).status).toBe(412)
    expect((await ask(method, '/lights/hall', body, { 'if-match': now.replace(/.(?="$)/, 'c') })).status).toBeLessThan(300)
    expect((await ask(method, '/lights/nowhere', body, { 'if-match': '*' })).status).toBe(method === 'PUT' ? 412 : 412)
    await app.close()
  })

  test('let If-None-Match: * create one document once', async () => {
    const { app, ask } = lightsApp({ storage: memory() })
    const created = await Promise.all(Array.from({ length: 20 }, () => ask('PUT', '/lights/new', { on: true }, { 'if-none-match': '*' })))
    expect(created.map(({ status }) => status).sort()).toEqual([201, ...new Array(19).fill(412)])
    await app.close()
  })

  test('never repeat a version, also after a deletion', async () => {
    const { app, ask } = lightsApp({ limits: { tombstones: 0 } })
    const seen = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const answers = [await ask('PUT', '/lights/a', { on: true }), await ask('PUT', '/lights/a', { on: true })]
      for (const answer of answers) {
        expect(seen.has(versionOf(answer))).toBe(false)
        seen.add(versionOf(answer))
      }
      await ask('DELETE', '/lights/a')
      if (round % 3 === 0) {
        await ask('PUT', '/lights/b', { on: true })
        await ask('DELETE', '/lights/b')
      }
    }
    await app.close()
  })

  test('work in a mounted app', async () => {
    const { app: inner } = lightsApp({ initial: { hall: { on: false } } })
    const app = new App({ logger: false }).mount('/house', inner)
    const ask = asking(app)
    const { etag = '' } = (await ask('GET', '/house/lights/hall')).headers
    expect((await ask('GET', '/house/lights/hall', undefined, { 'if-none-match': etag })).status).toBe(304)
    expect((await ask('PUT', '/house/lights/hall', { on: true }, { 'if-match': '"zzj"' })).status).toBe(412)
    expect((await ask('PUT', '/house/lights/hall', { on: true }, { 'if-match': etag })).status).toBe(200)
    await app.close()
  })
})

type Step = {
  readonly id: string
  readonly kind: 'put' | 'patch' | 'delete'
  readonly level: number
  readonly condition: 'none' | 'fresh' | 'stale' | 'create'
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    id: fc.constantFrom('a', 'b', '__proto__'),
    kind: fc.constantFrom('put' as const, 'patch' as const, 'delete' as const),
    level: fc.integer({ min: 0, max: 100 }),
    condition: fc.constantFrom('none' as const, 'fresh' as const, 'stale' as const, 'create' as const)
  }),
  { minLength: 1, maxLength: 40 }
)

describe.each([
  ['in memory', () => ({})],
  ['with a storage', () => ({ storage: memory() })]
])('a store %s', (_, options) => {
  test('does what a simple model does, one change after another', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async script => {
        const { app, ask } = lightsApp(options())
        const model = new Map<string, { level: number; etag: string }>()
        const gone = new Set<string>()
        for (const { id, kind, level, condition } of script) {
          const path = `/lights/${id}`
          const current = model.get(id)
          const headers: Record<string, string> =
            condition === 'none'
              ? {}
              : condition === 'create'
                ? { 'if-none-match': '*' }
                : { 'if-match': condition === 'stale' ? '"0j"' : (current?.etag ?? '*') }
          const holds = condition === 'none' || (condition === 'create' ? current === undefined : condition === 'fresh' && current !== undefined)
          const body = kind === 'delete' ? undefined : kind === 'put' ? { on: true, level } : { level }
          const answer = await ask(kind.toUpperCase(), path, body, headers)
          const expected = !holds
            ? 412
            : kind === 'put'
              ? current === undefined
                ? 201
                : 200
              : current === undefined
                ? gone.has(id)
                  ? 410
                  : 404
                : kind === 'delete'
                  ? 204
                  : 200
          expect(answer.status, JSON.stringify({ id, kind, condition, current })).toBe(expected)
          if (expected >= 300) continue
          if (kind === 'delete') {
            model.delete(id)
            gone.add(id)
          } else model.set(id, { level, etag: answer.headers.etag as string })
        }
        for (const id of ['a', 'b', '__proto__']) {
          const answer = await ask('GET', `/lights/${id}`)
          if (model.has(id))
            expect(answer).toMatchObject({ status: 200, body: { level: model.get(id)?.level }, headers: { etag: model.get(id)?.etag } })
          else expect(answer.status).toBe(gone.has(id) ? 410 : 404)
        }
        await app.close()
      }),
      { numRuns: 60 }
    )
  })

  test('loses no increment that was made with If-Match, from many at once', async () => {
    const { app, ask, lights } = lightsApp({ ...options(), initial: { sum: { on: true } } })
    const increment = async (): Promise<void> => {
      for (;;) {
        const { body, headers } = await ask('GET', '/lights/sum')
        const next = { on: true, level: (body as { level: number }).level + 1 }
        const answer = await ask('PUT', '/lights/sum', next, { 'if-match': headers.etag as string })
        if (answer.status === 200) return
        expect(answer.status).toBe(412)
      }
    }
    await Promise.all([
      ...Array.from({ length: 20 }, increment),
      ...Array.from({ length: 20 }, () => lights.patch('sum', state => ({ ...state, level: state.level + 1 })))
    ])
    expect((await lights.get('sum'))?.state.level).toBe(40)
    await app.close()
  })
})
