import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forms } from '../src/index.ts'
import { field, file, multipartText } from './multipart-text.ts'

const app = new App()
  .use(forms({ files: async ({ stream }) => Buffer.concat(await stream.toArray()).length }))
  .use(router())
  .use(http({ port: 0 }))
  .use(coap({ port: 0 }))
  .use(mqtt({ port: 0 }))
  .use(tcp({ port: 0 }))
app.post('/form', async context => {
  const { fields, files } = await context['forms.Form'].read()
  return { fields: String(fields), files: files.map(({ name, value }) => [name, value]) }
})
app.get('/page', () => 'page')

let urls: string[] = []
beforeAll(async () => {
  urls = (await app.listen()).map(({ url }) => url.href)
})
afterAll(() => app.close())

test.each([0, 2, 3])('reads both kinds of forms over transport %i', async at => {
  const client = await app.connect(urls[at]!)
  try {
    const type = 'multipart/form-data; boundary=xyz'
    const body = Buffer.from(multipartText([field('a', '1 2'), file('f', 'f.bin', 'x'.repeat(3000))]))
    const multipart = await client.post('/form', body, { headers: { 'content-type': type } })
    expect(await multipart.json()).toEqual({ fields: 'a=1+2', files: [['f.bin', 3000]] })
    const encoded = await client.post('/form', Buffer.from('a=1+2&b=3'), { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    expect(await encoded.json()).toEqual({ fields: 'a=1+2&b=3', files: [] })
    expect(await (await client.get('/page')).text()).toBe('page')
  } finally {
    await client.close()
  }
})

test('has no form over CoAP, which has no Content-Format for them', async () => {
  const client = await app.connect(urls[1]!)
  const sent = client.post('/form', Buffer.from('a=1'), { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
  await expect(sent).rejects.toMatchObject({ status: 415 })
  const answer = await client.post('/form', { a: 1 })
  expect(answer.error?.message).toContain("not 'application/json'")
  await client.close()
})

test('reads what curl sends with -F and --data-urlencode', async () => {
  const curl = async (...args: string[]) => JSON.parse((await promisify(execFile)('curl', ['-s', ...args, `${urls[0]}form`])).stdout) as unknown
  expect(await curl('-F', 'a=1 2', '-F', `f=@${import.meta.filename};filename=x.ts`)).toMatchObject({
    fields: 'a=1+2',
    files: [['x.ts', expect.any(Number)]]
  })
  expect(await curl('--data-urlencode', 'a=ü&=')).toEqual({ fields: 'a=%C3%BC%26%3D', files: [] })
})

test('reads what fetch sends of a FormData', async () => {
  const data = new FormData()
  data.append('a', 'ü')
  data.append('f', new File(['12345'], 'ü "x".txt'))
  expect(await (await fetch(`${urls[0]}form`, { method: 'POST', body: data })).json()).toEqual({ fields: 'a=%C3%BC', files: [['ü %22x%22.txt', 5]] })
})

test('a thousand observers share a run behind forms()', async () => {
  let runs = 0
  const inner = new App().use(forms()).use(router())
  inner.get('/n', () => ({ n: ++runs }))
  const signal = new AbortController()
  let told = 0
  const readers = Array.from({ length: 1000 }, async () => {
    for await (const _ of inner.observe('/n', { signal: signal.signal })) told++
  })
  await expect.poll(() => told).toBe(1000)
  inner.notify('/n')
  await expect.poll(() => told).toBe(2000)
  expect(runs).toBe(1001)
  signal.abort()
  await Promise.all(readers)
})
