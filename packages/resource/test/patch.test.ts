import { App, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { resource, resources } from '../src/index.ts'
import { jsonPatch, operationsOf } from '../src/patch/json-patch.ts'
import { mergePatch } from '../src/patch/merge-patch.ts'

const MERGE = 'application/merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'

interface State {
  on: boolean
  level?: number | undefined
  tags: string[]
  note?: string | null | undefined
}

const light = resource('/lights/{id}', {
  state: z.object({ on: z.boolean(), level: z.number().max(100).optional(), tags: z.array(z.string()).default([]), note: z.string().nullish() }),
  computed: { href: z.string() },
  methods: { get: {}, put: {}, patch: {}, ipatch: {}, delete: {} }
})

const serving = () => {
  const app = new App({ logger: false }).use(router()).use(resources())
  const states = new Map<string, State>([['hall', { on: true, level: 1, tags: ['a', 'b'] }]])
  app.serve(light, {
    get: ({ params }) => {
      const state = states.get(params.id)
      return state && { ...state, href: `/lights/${params.id}` }
    },
    put: async ({ params, input }) => {
      await Promise.resolve()
      states.set(params.id, input)
      return { ...input, href: `/lights/${params.id}` }
    },
    delete: ({ params }) => void states.delete(params.id)
  })
  const patch = (body: unknown, type = '', headers: Record<string, string> = {}, method = 'PATCH', path = '/lights/hall') =>
    app.invoke({
      'iopa.Method': method,
      'iopa.Path': path,
      'iopa.Headers': headers,
      'iopa.Body': typeof body === 'string' ? body : JSON.stringify(body),
      'iopa.ContentType': type || 'application/json'
    })
  return { app, states, patch }
}

describe('PATCH by the handlers of GET and PUT', () => {
  test.each([['application/json'], [MERGE]])('takes a merge patch as %s', async type => {
    const { patch, states } = serving()
    const answer = await patch({ level: 7, note: 'x' }, type)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ on: true, level: 7, tags: ['a', 'b'], note: 'x', href: '/lights/hall' })
    expect(states.get('hall')).toEqual({ on: true, level: 7, tags: ['a', 'b'], note: 'x' })
  })

  test('takes a state whose members have the names of those of streams', async () => {
    const counts = resource('/counts', { state: z.record(z.string(), z.number()), methods: { get: {}, put: {}, patch: {} } })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(counts, { get: () => ({ pipe: 1, arrayBuffer: 2, getReader: 3 }), put: ({ input }) => input })
    const answer = await app.invoke({ 'iopa.Method': 'PATCH', 'iopa.Path': '/counts', 'iopa.Body': { pipe: 5 } })
    expect([answer.status, await answer.text()]).toEqual([200, '{"pipe":5,"arrayBuffer":2,"getReader":3}'])
  })

  test('takes a JSON Patch, and none with iPATCH', async () => {
    const { patch, states } = serving()
    const operations = [
      { op: 'add', path: '/tags/-', value: 'c' },
      { op: 'replace', path: '/note', value: null }
    ]
    expect((await patch([operations[0], { op: 'add', path: '/note', value: null }], JSON_PATCH)).status).toBe(200)
    expect(states.get('hall')).toMatchObject({ tags: ['a', 'b', 'c'], note: null })
    const refused = await patch(operations, JSON_PATCH, {}, 'iPATCH')
    expect([refused.status, refused.headers.get('accept-patch')]).toEqual([415, MERGE])
    expect((await patch({ level: 3 }, MERGE, {}, 'iPATCH')).status).toBe(200)
  })

  test('refuses other types with Accept-Patch', async () => {
    const { patch } = serving()
    const answer = await patch('level: 7', 'application/yaml')
    expect([answer.status, answer.headers.get('accept-patch')]).toEqual([415, `${MERGE}, ${JSON_PATCH}`])
    const known = await patch({ level: 7 }, 'application/vnd.other+json')
    expect([known.status, known.headers.get('accept-patch')]).toEqual([415, `${MERGE}, ${JSON_PATCH}`])
  })

  test('removes members, and refuses to remove one that is required', async () => {
    const { patch, states } = serving()
    expect((await patch({ level: null })).status).toBe(200)
    expect(states.get('hall')).not.toHaveProperty('level')
    const refused = await patch({ on: null })
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({ errors: [{ pointer: '/on' }] })
    expect((await patch([{ op: 'remove', path: '/on' }], JSON_PATCH)).status).toBe(422)
    expect(states.get('hall')).toMatchObject({ on: true })
  })

  test('drops computed members of a patch, and gives the state without them', async () => {
    const { patch, states } = serving()
    expect((await patch({ href: 7, level: 2 })).status).toBe(200)
    expect(states.get('hall')).toEqual({ on: true, level: 2, tags: ['a', 'b'] })
    expect((await patch([{ op: 'test', path: '/href', value: '/lights/hall' }], JSON_PATCH)).status).toBe(409)
  })

  test('answers 404 where there is no state', async () => {
    const { patch } = serving()
    expect((await patch({ level: 7 }, MERGE, {}, 'PATCH', '/lights/none')).status).toBe(404)
  })

  test('replaces the state by a patch that is no object, which the schema judges', async () => {
    const { patch } = serving()
    for (const body of [[1], 'text', 7]) expect((await patch(JSON.stringify(body), MERGE)).status).toBe(422)
    expect((await patch('', MERGE)).status).toBe(400)
  })

  test('judges a precondition by the state before it', async () => {
    const { app, patch, states } = serving()
    const etag = (await app.invoke({ 'iopa.Path': '/lights/hall', 'iopa.Headers': { 'if-none-match': '"?"' } })).headers.get('etag') ?? ''
    expect((await patch({ level: 5 }, MERGE, { 'if-match': etag })).status).toBe(200)
    expect((await patch({ level: 6 }, MERGE, { 'if-match': etag })).status).toBe(412)
    expect(states.get('hall')?.level).toBe(5)
  })

  test('takes turns with other changes of its path: no change is lost', async () => {
    const { app, patch, states } = serving()
    const put = () => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': { on: false } })
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, n) => patch([{ op: 'add', path: '/tags/-', value: `n${n}` }], JSON_PATCH)),
      put(),
      ...Array.from({ length: 20 }, (_, n) => patch([{ op: 'add', path: '/tags/-', value: `m${n}` }], JSON_PATCH))
    ])
    expect(answers.map(({ status }) => status)).toEqual(Array(41).fill(200))
    // The PUT came between: what stood before it is gone, and nothing after it.
    expect(states.get('hall')?.tags).toEqual(Array.from({ length: 20 }, (_, n) => `m${n}`))
  })

  test('bounds the patches that wait for one path', async () => {
    const { patch } = serving()
    const statuses = (await Promise.all(Array.from({ length: 1030 }, () => patch({ level: 1 })))).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
  })

  test('passes on an error and a status of GET', async () => {
    const app = new App({ logger: false }).use(router()).use(resources())
    const one = resource('/one/{how}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {}, patch: {} } })
    app.serve(one, {
      get: ({ params: { how } }) => {
        if (how === 'busy') throw new IopaError(409, 'light-busy')
        if (how === 'gone') return reply(410)
        return new Response('x')
      },
      put: () => undefined
    })
    const statusOf = async (how: string) => (await app.invoke({ 'iopa.Method': 'PATCH', 'iopa.Path': `/one/${how}`, 'iopa.Body': {} })).status
    expect([await statusOf('busy'), await statusOf('gone'), await statusOf('stream')]).toEqual([409, 404, 500])
  })
})

test('a handler of PATCH gets the patch', async () => {
  const app = new App({ logger: false }).use(router()).use(resources())
  const level = resource('/level', { state: z.object({ level: z.number() }), methods: { get: {}, patch: {}, ipatch: {} } })
  let state = { level: 1 }
  app.serve(level, {
    get: () => state,
    patch: async ({ input }) => {
      expectTypeOf(input.apply(state)).toEqualTypeOf<{ level: number } | Promise<{ level: number }>>()
      state = await input.apply(state)
      return state
    }
  })
  const patch = (method: string, body: unknown) => app.invoke({ 'iopa.Method': method, 'iopa.Path': '/level', 'iopa.Body': body })
  expect(await (await patch('PATCH', { level: 2 })).json()).toEqual({ level: 2 })
  expect(await (await patch('iPATCH', { level: 3 })).json()).toEqual({ level: 3 })
  expect((await patch('PATCH', { level: 'x' })).status).toBe(422)
})

describe('a merge patch', () => {
  // RFC 7396, appendix A.
  test.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd']
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }]
  ])('%j, patched by %j, is %j', (target, patch, outcome) => {
    expect(mergePatch(target, patch)).toEqual(outcome)
  })

  test('makes own members of names of the prototype', () => {
    const outcome = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'))
    expect(Object.getPrototypeOf(outcome)).toBe(Object.prototype)
    expect(({} as { polluted?: true }).polluted).toBeUndefined()
  })
})

describe('a JSON Patch', () => {
  const apply = (state: unknown, ...operations: unknown[]) => jsonPatch(state, operationsOf(operations))

  test('changes a copy', () => {
    const state = { a: [1, { b: 2 }] }
    expect(
      apply(
        state,
        { op: 'test', path: '/a/1', value: { b: 2 } },
        { op: 'copy', from: '/a/1', path: '/c' },
        { op: 'replace', path: '/a/1/b', value: 3 },
        { op: 'move', from: '/a/0', path: '/d~1e' },
        { op: 'add', path: '/a/-', value: 9 }
      )
    ).toEqual({ a: [{ b: 3 }, 9], c: { b: 2 }, 'd/e': 1 })
    expect(state).toEqual({ a: [1, { b: 2 }] })
    expect(apply({ a: 1 }, { op: 'replace', path: '', value: [1] })).toEqual([1])
  })

  test.each([
    ['is no array', { op: 'add' }],
    ['has an op that there is none of', [{ op: 'merge', path: '/a' }]],
    ['has an op of the prototype', [{ op: 'toString', path: '/a' }]],
    ['has no pointer', [{ op: 'remove', path: 'a' }]],
    ['has a wrong escape', [{ op: 'remove', path: '/a~2' }]],
    ['has no value', [{ op: 'add', path: '/a' }]],
    ['has no from', [{ op: 'copy', path: '/a' }]],
    ['moves a value into itself', [{ op: 'move', from: '/a', path: '/a/b' }]]
  ])('that %s is refused with 400', (_, patch) => {
    expect(() => operationsOf(patch)).toThrow(expect.objectContaining({ status: 400, code: 'malformed-patch' }))
  })

  test.each([['/__proto__/polluted'], ['/constructor/prototype/polluted'], ['/a/__proto__']])('that names %s is refused', path => {
    expect(() => operationsOf([{ op: 'add', path, value: true }])).toThrow(expect.objectContaining({ status: 400, code: 'forbidden-key' }))
    expect(({} as { polluted?: true }).polluted).toBeUndefined()
  })

  test.each([
    ['add', '/toString/polluted'],
    ['add', '/b/c'],
    ['remove', '/b'],
    ['replace', '/hasOwnProperty'],
    ['add', '/a/2'],
    ['add', '/a/01'],
    ['add', '/a/x'],
    ['remove', '/a/-'],
    ['replace', '/a/1'],
    ['add', '/a/length'],
    ['add', '/a/0/0']
  ])('that does not fit the state is refused with 409: %s %s', (op, path) => {
    expect(() => apply({ a: [1] }, { op, path, value: 7 })).toThrow(expect.objectContaining({ status: 409, code: 'patch-conflict' }))
    expect((Object.prototype.toString as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('whose test fails is refused with 409', () => {
    expect(() => apply({ a: 1 }, { op: 'test', path: '/a', value: 2 })).toThrow(/test \/a, does not fit the state \(the test failed\)/)
  })

  test.each([
    [{ b: 2, a: [1, null] }, true],
    [{ a: [null, 1], b: 2 }, false],
    [{ a: [1, null] }, false],
    [{ a: [1, null], b: 2, c: 3 }, false],
    [{ a: { 0: 1, 1: null }, b: 2 }, false],
    [{ a: [1, null], toString: 2 }, false]
  ])('compares the members of a value, whatever their order: %j', (value, equal) => {
    const run = () => apply({ a: [1, null], b: 2 }, { op: 'test', path: '', value })
    if (equal) expect(run()).toEqual({ a: [1, null], b: 2 })
    else expect(run).toThrow(expect.objectContaining({ status: 409 }))
  })

  test('tests long arrays in linear time', () => {
    const start = process.cpuUsage()
    const zeros = Array.from({ length: 20_000 }, () => 0)
    expect(apply(zeros, { op: 'test', path: '', value: [...zeros] })).toHaveLength(20_000)
    const ones = zeros.map(() => 1)
    expect(() => apply(zeros, { op: 'test', path: '', value: ones })).toThrow(expect.objectContaining({ code: 'patch-conflict' }))
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(2000)
  })

  test('of too many operations is refused with 413', () => {
    const many = Array.from({ length: 1001 }, () => ({ op: 'add', path: '/a', value: 1 }))
    expect(() => operationsOf(many)).toThrow(expect.objectContaining({ status: 413 }))
  })

  test('whose copies of copies double is refused before the state grows', () => {
    const bomb = Array.from({ length: 100 }, (_, n) => ({ op: 'copy', from: '', path: `/k${n}` }))
    expect(() => apply({ a: 'x'.repeat(1000) }, ...bomb)).toThrow(expect.objectContaining({ status: 413, code: 'patch-too-large' }))
  })

  test('whose operations nest the state too deep is refused with 413', () => {
    const nested = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
    const tooDeep = expect.objectContaining({ status: 413, code: 'patch-too-large' })
    expect(apply({ a: 1 }, { op: 'add', path: '/a', value: nested(999) })).toEqual(nested(1000))
    const adds = Array.from({ length: 12 }, (_, n) => ({ op: 'add', path: '/a'.repeat(n * 900 + 1), value: nested(900) }))
    for (const count of [2, 12]) expect(() => apply({ a: 1 }, ...adds.slice(0, count))).toThrow(tooDeep)
    const copies = Array.from({ length: 15 }, (_, n) => ({ op: 'copy', from: '', path: '/a'.repeat(2 ** n) }))
    for (const count of [10, 15]) expect(() => apply({ a: 1 }, ...copies.slice(0, count))).toThrow(tooDeep)
  })

  test('of most operations on a huge array takes little time of the processor', () => {
    const before = process.cpuUsage()
    const state = { a: Array.from({ length: 100_000 }, (_, n) => n) }
    const insert = Array.from({ length: 1000 }, () => ({ op: 'add', path: '/a/0', value: 1 }))
    expect((apply(state, ...insert) as typeof state).a).toHaveLength(101_000)
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(2)
  })
})
