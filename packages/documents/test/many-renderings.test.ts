import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { documents } from '../src/index.ts'
import { INFO } from './fixtures/apps.ts'

test('answers 503 where many are asked for by different names', async () => {
  const app = new App({ logger: false })
    .use(router())
    .use(documents(INFO))
    .use(http({ port: 0, host: '0.0.0.0' }))
  for (let at = 0; at < 100; at++) app.get(`/r${at}/{id}`, { rt: `r${at}`, title: 'A light' }, () => at)
  await app.listen()
  const ask = (host: string) => app.invoke({ 'iopa.Path': '/openapi.json', 'iopa.Host': host })
  const answers = await Promise.all(Array.from({ length: 60 }, (_, at) => ask(`h${at}.example`)))
  const refused = answers.filter(({ status }) => status === 503)
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(12)
  expect(refused.length).toBeGreaterThanOrEqual(40)
  expect(await refused[0]?.json()).toMatchObject({ code: 'overloaded' })
  expect(refused[0]?.headers.get('retry-after')).toBe('1')
  expect((await ask('h99.example')).status).toBe(200)
  await app.close()
})
