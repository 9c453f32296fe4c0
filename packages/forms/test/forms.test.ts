import { App } from '@iopa/appbuilder'
import { expect, test } from 'vitest'
import { type FormsOptions, forms, urlencoded } from '../src/index.ts'
import { field, file, multipartText, post } from './multipart-text.ts'

const reading = (options?: FormsOptions) =>
  new App({ logger: false }).use(forms(options)).use(async context => {
    const form = await context['forms.Form'].read()
    return { fields: [...form.fields], files: form.files.map(({ field, name, type, size, value }) => ({ field, name, type, size, value })) }
  })

const encoded = (body: string, type = 'application/x-www-form-urlencoded') => ({
  'iopa.Method': 'POST',
  'iopa.Path': '/form',
  'iopa.Headers': { 'content-type': type },
  'iopa.Body': Buffer.from(body, 'latin1')
})

const answer = async (app: { invoke(bag: never): Promise<unknown> }, bag: unknown) => {
  const { status, body } = await (async () => {
    const answered = (await app.invoke(bag as never)) as { status: number; text(): Promise<string> }
    return { status: answered.status, body: JSON.parse(await answered.text()) as Record<string, unknown> }
  })()
  return status === 200 ? body : { status, code: body['code'] }
}

const names = (list: number) => Array.from({ length: list }, (_, at) => `f${at}`)

test('reads an urlencoded form', async () => {
  expect(await answer(reading(), encoded('a=1&b=x+y&a=%C3%BC'))).toEqual({
    fields: [
      ['a', '1'],
      ['b', 'x y'],
      ['a', 'ü']
    ],
    files: []
  })
})

test('reads the fields of a multipart form', async () => {
  const body = multipartText([field('a', '1'), field('b', 'x\r\ny')])
  expect(await answer(reading(), post(body))).toEqual({
    fields: [
      ['a', '1'],
      ['b', 'x\r\ny']
    ],
    files: []
  })
})

test('reads a charset that the content type names', async () => {
  expect(await answer(reading(), encoded('a=\xfc', 'application/x-www-form-urlencoded; charset=iso-8859-1'))).toEqual({
    fields: [['a', 'ü']],
    files: []
  })
  const part = { head: 'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=iso-8859-1', body: '\xfc' }
  expect(await answer(reading(), post(multipartText([part])))).toEqual({ fields: [['a', 'ü']], files: [] })
})

test('keeps names of a prototype as data', async () => {
  const app = new App().use(forms()).use(async context => {
    const form = await context['forms.Form'].read()
    const values = form.values()
    return { names: Object.keys(values), polluted: ({} as Record<string, unknown>)['polluted'] ?? null }
  })
  const expected = { names: ['__proto__', 'constructor', 'toString'], polluted: null }
  expect(await answer(app, encoded('__proto__=polluted&constructor=1&toString=2'))).toEqual(expected)
  expect(await answer(app, post(multipartText([field('__proto__', 'polluted'), field('constructor', '1'), field('toString', '2')])))).toEqual(
    expected
  )
})

test('gathers the values of a name that came several times', async () => {
  const app = new App().use(forms()).use(async context => (await context['forms.Form'].read()).values())
  expect(await answer(app, encoded('a=1&b=2&a=3&a=4'))).toEqual({ a: ['1', '3', '4'], b: '2' })
})

test('reads a form once and gives it again', async () => {
  const app = new App().use(forms()).use(async context => {
    const first = await context['forms.Form'].read()
    return { same: first === (await context['forms.Form'].read()) }
  })
  expect(await answer(app, encoded('a=1'))).toEqual({ same: true })
})

test.each([
  ['a body that is no form', 415, 'not-a-form', encoded('{}', 'application/json')],
  ['a multipart form without a boundary', 400, 'malformed-form', encoded('x', 'multipart/form-data')],
  ['a form that ends within a part', 400, 'malformed-form', post(multipartText([field('a', '1')], '').slice(0, -4))],
  ['a form without its last boundary', 400, 'malformed-form', post(multipartText([field('a', '1')], ''))],
  ['a file that ends within a part', 400, 'malformed-form', post(multipartText([file('a', 'a.txt', 'x'.repeat(100))], '').slice(0, -40))],
  ['an empty multipart body', 400, 'malformed-form', post('')],
  ['a part without a name', 400, 'malformed-form', post(multipartText([{ head: 'Content-Disposition: form-data', body: 'x' }]))],
  ['a compressed form', 415, 'unsupported-coding', { ...post(''), 'iopa.Headers': { ...post('')['iopa.Headers'], 'content-encoding': 'gzip' } }]
])('refuses %s', async (_, status, code, bag) => {
  expect(await answer(reading({ files: async ({ stream }) => void stream.resume() }), bag)).toEqual({ status, code })
})

test.each<[string, string, FormsOptions['limits'], unknown]>([
  ['total in a multipart form', 'form-too-large', { total: 100 }, post(multipartText([field('a', 'x'.repeat(100))]))],
  ['total in an urlencoded form', 'form-too-large', { total: 100 }, encoded(`a=${'x'.repeat(100)}`)],
  ['fields in a multipart form', 'too-many-fields', { fields: 2 }, post(multipartText(names(3).map(name => field(name, ''))))],
  ['fields in an urlencoded form', 'too-many-fields', { fields: 2 }, encoded('a&b&c')],
  ['fieldSize in a multipart form', 'field-too-large', { fieldSize: 10 }, post(multipartText([field('a', 'x'.repeat(11))]))],
  ['fieldSize in an urlencoded form', 'field-too-large', { fieldSize: 10 }, encoded('a=%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC')],
  ['fieldNameSize in a multipart form', 'field-name-too-long', { fieldNameSize: 4 }, post(multipartText([field('abcde', '')]))],
  ['fieldNameSize in an urlencoded form', 'field-name-too-long', { fieldNameSize: 4 }, encoded('abcde=1')],
  ['fieldNameSize in bytes', 'field-name-too-long', { fieldNameSize: 4 }, encoded('%C3%BC%C3%BC%C3%BC=1')],
  ['files', 'too-many-files', { files: 1 }, post(multipartText([file('a', 'a', '1'), file('b', 'b', '2')]))],
  ['fileSize', 'file-too-large', { fileSize: 10 }, post(multipartText([file('a', 'a', 'x'.repeat(11))]))],
  ['parts', 'too-many-parts', { parts: 2 }, post(multipartText(names(3).map(name => field(name, ''))))]
])('refuses a form beyond the limit %s', async (_, code, limits, bag) => {
  const options: FormsOptions = { ...(limits === undefined ? {} : { limits }), files: async ({ stream }) => void stream.resume() }
  expect(await answer(reading(options), bag)).toEqual({ status: 413, code })
})

test.each<[string, FormsOptions['limits'], unknown]>([
  ['total', { total: 8 }, encoded('a=123456')],
  ['fields', { fields: 2 }, encoded('a&b')],
  ['fieldSize', { fieldSize: 12 }, encoded('a=%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC')],
  ['fieldSize of a part', { fieldSize: 10 }, post(multipartText([field('a', 'x'.repeat(10))]))],
  ['fileSize', { fileSize: 10 }, post(multipartText([file('a', 'a', 'x'.repeat(10))]))],
  ['parts', { parts: 3 }, post(multipartText(names(3).map(name => field(name, ''))))]
])('takes a form at the limit %s', async (_, limits, bag) => {
  const options: FormsOptions = { ...(limits === undefined ? {} : { limits }), files: async ({ stream }) => void stream.resume() }
  expect(await answer(reading(options), bag)).toHaveProperty('fields')
})

test('refuses files where none are wanted', async () => {
  expect(await answer(reading(), post(multipartText([file('a', 'a.txt', 'x')])))).toEqual({ status: 415, code: 'files-not-accepted' })
})

test('stops soon at a flood of boundaries, empty parts or headers', async () => {
  const files: FormsOptions['files'] = async ({ stream }) => void stream.resume()
  const boundaries = '--xyz\r\n'.repeat(140_000)
  const began = performance.now()
  expect(await answer(reading({ files }), post(boundaries))).toEqual({ status: 413, code: 'too-many-parts' })
  expect(await answer(reading({ files }), post(multipartText(names(1000).map(() => ({ head: 'X: y' })))))).toEqual({
    status: 413,
    code: 'too-many-parts'
  })
  const header = `Content-Disposition: form-data; name="a"\r\n${'X: y\r\n'.repeat(100_000)}Y: z`
  expect(await answer(reading({ files }), post(multipartText([{ head: header, body: '1' }])))).toEqual({ fields: [['a', '1']], files: [] })
  expect(performance.now() - began).toBeLessThan(1500)
})

test('cleans the names of files', async () => {
  const app = reading({ files: async ({ stream }) => void stream.resume() })
  const nameOf = async (disposition: string) =>
    (
      (await answer(app, post(multipartText([{ head: `Content-Disposition: form-data; name="a"; ${disposition}`, body: 'x' }])))) as {
        files: { name: string }[]
      }
    ).files[0]?.name
  expect(await nameOf('filename="../../etc/passwd"')).toBe('passwd')
  expect(await nameOf('filename="C:\\\\temp\\\\a.txt"')).toBe('a.txt')
  expect(await nameOf('filename=".."')).toBe('')
  expect(await nameOf('filename="a\0b.txt"')).toBe('ab.txt')
  expect(await nameOf('filename="\xc3\xbc.txt"')).toBe('ü.txt')
  expect(await nameOf("filename*=UTF-8''%e2%82%ac.txt")).toBe('€.txt')
  expect(await nameOf("filename*=UTF-8''..%2f..%2fa%00.txt")).toBe('a.txt')
  expect(await nameOf(`filename="${'n'.repeat(400)}"`)).toHaveLength(255)
})

test('takes the content type of a file from its part', async () => {
  const body = multipartText([file('a', 'a.png', 'x', 'image/png'), { head: 'Content-Disposition: form-data; name="b"; filename="b"', body: 'y' }])
  const { files } = (await answer(reading({ files: async ({ stream }) => void stream.resume() }), post(body))) as { files: { type: string }[] }
  expect(files.map(({ type }) => type)).toEqual(['image/png', 'text/plain'])
})

test('leaves out a file input that was left empty', async () => {
  const body = multipartText([file('a', '', '', 'application/octet-stream'), field('b', '1')])
  expect(await answer(reading({ files: () => expect.unreachable() }), post(body))).toEqual({ fields: [['b', '1']], files: [] })
})

test('refuses unknown and wrong options', () => {
  expect(() => forms({ limits: { file: 1 } } as never)).toThrow("no option 'file'")
  expect(() => forms({ limits: { files: -1 } })).toThrow("'limits.files' of forms()")
  expect(() => forms({ files: {} } as never)).toThrow("'files' of forms()")
  expect(() => forms({ files: { directory: 'x', keep: true } } as never)).toThrow("no option 'keep'")
})

test('is a codec for schemas: json() reads an urlencoded body', async () => {
  const app = new App({ codecs: [urlencoded()] }).use(async context => (context.method === 'GET' ? { a: [1] } : context.json()))
  expect(await answer(app, encoded('a=1&b=2&b=3'))).toEqual({ a: '1', b: ['2', '3'] })
  expect(await answer(app, encoded('__proto__=1'))).toEqual({ status: 400, code: 'malformed-form' })
  expect(await answer(app, encoded('a&'.repeat(1001)))).toEqual({ status: 413, code: 'too-many-fields' })
  const read = await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': { accept: 'application/x-www-form-urlencoded' } })
  expect(read.type).toBe('application/json')
})
