// Writes through node-redis and its Sentinel support until the input ends; says what was written, and who answered.
const { createSentinel } = require("redis");

const [key, name, ...nodes] = process.argv.slice(2);
const sentinelRootNodes = nodes.map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
const client = createSentinel({ name, sentinelRootNodes });
client.on("error", (error) => console.log("noticed", String(error)));
let ended = false;
process.stdin.resume().on("end", () => (ended = true));

(async () => {
  await client.connect();
  for (let number = 1; !ended; number += 1) {
    try {
      await client.set(key, String(number));
      const role = await client.sendCommand(false, ["ROLE"]);
      console.log("wrote", number, String(role[0]));
    } catch (error) {
      console.log("failed", number, String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  client.destroy();
})();
