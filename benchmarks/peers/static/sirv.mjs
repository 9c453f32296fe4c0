import http from 'node:http'
import sirv from 'sirv'

export const start = ({ port, host, root }) =>
  new Promise(resolve => {
    const files = sirv(root)
    http
      .createServer((request, response) =>
        files(request, response, () => {
          response.statusCode = 404
          response.end()
        })
      )
      .listen(port, host, resolve)
  })
