import { App } from '@iopa/appbuilder'
import { requestId } from './index.js'

const app = new App().use(requestId()).use(context => `your id is ${context['requestid.Value']}`)
const answer = await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': '/' })
console.log(answer.status, await answer.text())
